"""Gradients changed before the method, and spikes: how recorded cases are run."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from frontier.decay import OUT_IN, momentum, orthogonal
from frontier.driver import run

import gradtx
from gradtx.like.adam_rule import scale_by_raw_adam

# --- before the method -------------------------------------------------------


def mars(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """MARS of its authors: vectors go to AdamW unless ``optimize_1d``."""
    s = {"mars_type": "mars-adamw", **case["settings"]}
    small = gradtx.chain(
        _adam(*s.get("betas_1d", (0.9, 0.95)), s),
        gradtx.add_decayed_weights(s.get("weight_decay_1d", 0.1)),
        gradtx.scale_by_learning_rate(s.get("lr_1d", 3e-3)),
    )
    lone = _lion if s["mars_type"] == "mars-lion" else _adam
    tx = gradtx.partition(
        {
            "matrix": _mars(s, DIRECTIONS[s["mars_type"]]),
            "other": _mars(s, lone) if s.get("optimize_1d", False) else small,
        },
        lambda tree: {k: "matrix" if x.ndim == 2 else "other" for k, x in tree.items()},
    )
    return run(tx, case, p0, grads)


def _mars(s: dict[str, Any], direction: Callable[..., Any]) -> Any:
    b1, b2 = s.get("betas", (0.95, 0.99))
    return gradtx.chain(
        gradtx.mars(s.get("gamma", 0.025), b1),
        direction(b1, b2, s),
        gradtx.add_decayed_weights(s.get("weight_decay", 0.0)),
        gradtx.scale_by_learning_rate(s.get("lr", 3e-3)),
    )


def _adam(b1: float, b2: float, s: dict[str, Any]) -> Any:
    return scale_by_raw_adam(b1, b2, s.get("eps", 1e-8), s.get("amsgrad", False))


def _lion(b1: float, b2: float, s: dict[str, Any]) -> Any:
    del b2, s  # the sign is that of the mean itself
    return gradtx.sign_momentum(b1, b1)


def _shampoo(b1: float, b2: float, s: dict[str, Any]) -> Any:
    del b2
    eps = s.get("eps", 1e-8) * (1 - b1)  # the program's mean is 1 / (1 - β₁) larger
    return gradtx.chain(
        momentum(b1, nesterov=False), orthogonal(eps), gradtx.scale_by_shape(OUT_IN)
    )


DIRECTIONS = {"mars-adamw": _adam, "mars-lion": _lion, "mars-shampoo": _shampoo}


def grokfast_ema(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Grokfast's running mean before gradient descent."""
    return _before_sgd(gradtx.grokfast_ema, case, p0, grads, ("alpha", "lamb"))


def grokfast_ma(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Grokfast's window before gradient descent."""
    names = ("window_size", "lamb", "filter_type", "warmup")
    if case["settings"].get("trigger") and case["settings"].get("warmup", True):
        return run(gradtx.sgd(case["settings"]["lr"]), case, p0, grads)
    return _before_sgd(gradtx.grokfast_ma, case, p0, grads, names)


def zclip(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """ZClip before gradient descent."""
    names = (
        "alpha",
        "z_thresh",
        "max_grad_norm",
        "eps",
        "warmup_steps",
        "mode",
        "clip_option",
        "clip_factor",
        "skip_update_on_spike",
    )
    return _before_sgd(gradtx.zclip, case, p0, grads, names)


def _before_sgd(
    make: Callable[..., Any], case: dict[str, Any], p0: Any, grads: Any, names: Any
) -> Any:
    s = case["settings"]
    before = make(**{name: s[name] for name in names if name in s})
    return run(gradtx.chain(before, gradtx.sgd(s["lr"])), case, p0, grads)


def adagc(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """AdaGC of pytorch_optimizer, whose AdamW decays first."""
    s = case["settings"]
    eps = s.get("eps", 1e-8)
    names = ("beta", "lambda_abs", "lambda_rel", "warmup_steps")
    bound = gradtx.adagc(**{k: s[k] for k in names if k in s}, eps=eps)
    b1, b2 = s.get("betas", (0.9, 0.999))
    adamw = gradtx.adamw(
        s.get("lr", 1e-3), b1, b2, eps, weight_decay=s.get("weight_decay", 0.1)
    )
    return run(gradtx.chain(bound, adamw), case, p0, grads)


# --- spikes ------------------------------------------------------------------


def spam(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """SPAM of its authors, without sparse masks; the decay comes after the step."""
    s = case["settings"]
    b1, b2 = s.get("betas", (0.9, 0.999))
    lr, decay = s.get("lr", 1e-3), s.get("weight_decay", 0.0)
    adam = scale_by_raw_adam(b1, b2, s.get("eps", 1e-6), amsgrad=False, eps_hat=True)
    tx = gradtx.chain(
        gradtx.spike_aware_reset(
            adam,
            every=s.get("DeltaT", 500) or None,
            warmup_steps=s.get("warmup_steps", 150),
            threshold=s.get("threshold", 5000) or None,
            wait=s.get("grad_accu_steps", 20),
        ),
        gradtx.scale_by_schedule(_biases(b1, b2, s.get("correct_bias", True))),
        gradtx.scale_by_learning_rate(lr),
        gradtx.stateless(
            lambda u, p: jax.tree.map(lambda u, p: u - lr * decay * (p + u), u, p)
        ),
    )
    return run(tx, case, p0, grads)


def _biases(b1: float, b2: float, corrected: bool) -> Callable[..., Any]:
    """Return the factor that takes Adam's correction of biases back."""

    def factor(count: Any) -> Any:
        t = count + 1.0
        return 1.0 if corrected else (1 - b1**t) / jnp.sqrt(1 - b2**t)

    return factor


def skip_step(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """OLMo's series: the factor of each step is 0 where the parameter stays."""
    del p0, grads
    s = case["settings"]
    tx = gradtx.skip_spikes(
        gradtx.sgd(1.0),
        s.get("rolling_interval_length", 128),
        s.get("sigma_factor", 6.0),
    )
    params = {"x": jnp.zeros(())}
    state, factors = tx.init(params), []
    step = jax.jit(tx.update)
    norms = case.get("grad_norms") or [1.0] * len(case["losses"])
    for loss, norm in zip(case["losses"], norms, strict=True):
        u, state = step({"x": jnp.asarray(norm)}, state, params, value=loss)
        factors.append(float(u["x"] != 0))
    return {"factors": factors}


METHODS: dict[str, Callable[..., Any]] = {
    "adagc": adagc,
    "grokfast_ema": grokfast_ema,
    "grokfast_ma": grokfast_ma,
    "mars": mars,
    "skip_step": skip_step,
    "spam": spam,
    "zclip": zclip,
}
