"""Decay, caution and norms kept: how recorded cases are run with gradtx."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from frontier.driver import run

import gradtx
from gradtx.common.numerics import debias, ema, one_minus_power
from gradtx.core.slots import squares, zeros

OUT_IN = gradtx.MuonDimensionNumbers(reduction_axis=1, output_axis=0)
EXACT = ((2.0, -1.5, 0.5),) * 12


# --- caution -----------------------------------------------------------------


def cautious_adamw(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """C-Optim's AdamW: the decay is not masked."""
    s = case["settings"]
    adam = gradtx.scale_by_adam(*s.get("betas", (0.9, 0.999)), s.get("eps", 1e-6))
    return run(_cautious(adam, s, rescale="mean"), case, p0, grads)


def cautious_lion(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """C-Optim's Lion, whose mask counts one entry more."""
    s = case["settings"]
    lion = gradtx.sign_momentum(*s.get("betas", (0.9, 0.99)))
    return run(_cautious(lion, s, rescale="count"), case, p0, grads)


def _cautious(direction: Any, s: dict[str, Any], **how: Any) -> Any:
    masked = gradtx.cautious(direction, direction=True, **how)
    decay = s.get("weight_decay", 0.0)
    return gradtx.descend(masked, s.get("lr", 1e-3), weight_decay=decay)


def cautious_muon(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """C-Optim's Muon: what goes against the gradient is left out of the mean."""
    s = case["settings"]
    nesterov = s.get("nesterov", True)
    mean = momentum(s.get("momentum", 0.95), nesterov=nesterov, masked=True)
    direction = gradtx.chain(
        mean,
        orthogonal(ns_steps=s.get("ns_steps", 5)),
        gradtx.scale_by_shape(OUT_IN),
    )
    decay = s.get("weight_decay", 0.0)
    tx = gradtx.descend(direction, s.get("lr", 0.02), weight_decay=decay)
    return run(tx, case, p0, grads)


def momentum(mu: float, *, nesterov: bool = True, masked: bool = False) -> Any:
    """Return Muon's mean, perhaps of what agrees with the gradient only."""

    def rule(g: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        m = ema(m, g, mu)
        u = ema(m, g, mu) if nesterov else m
        kept = (m * g > 0).astype(m.dtype)
        return (u * kept / jnp.maximum(kept.mean(), 1e-3) if masked else u), m

    return gradtx.leafwise(rule, gradtx.TraceState, trace=zeros)


def orthogonal(eps: float = 1e-7, **settings: Any) -> Any:
    """Return Muon without its mean, for weights of shape (out, in)."""
    return gradtx.scale_by_muon(
        beta=0.0,
        eps=eps,
        nesterov=False,
        weight_dimension_numbers=OUT_IN,
        **settings,
    )


# --- decay -------------------------------------------------------------------


def cautious_decay_adamw(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """AdamW of dion's scalar optimizers, with cautious decay."""
    s = case["settings"]
    tx = gradtx.adamw(
        s["lr"],
        s["b1"],
        s["b2"],
        s.get("eps", 1e-8),
        weight_decay=s["weight_decay"],
        decay_kind="cautious",
    )
    return run(tx, case, p0, grads)


def cautious_decay_lion(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Lion of dion's scalar optimizers, with cautious decay."""
    s = case["settings"]
    decay = s["weight_decay"]
    tx = gradtx.lion(
        s["lr"], s["b1"], s["b2"], weight_decay=decay, decay_kind="cautious"
    )
    return run(tx, case, p0, grads)


def adamw_independent(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """AdamW of optimi, whose decay may go by the share of the largest rate."""
    s = case["settings"]
    b1, b2 = s.get("betas", (0.9, 0.99))
    tx = gradtx.adamw(
        s["lr"],
        b1,
        b2,
        s.get("eps", 1e-6),
        weight_decay=s.get("weight_decay", 0.0),
        decay_kind="independent" if s.get("decouple_lr") else "decoupled",
        peak_learning_rate=s.get("max_lr") or s["lr"],
    )
    return run(tx, case, p0, grads)


def adamc(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """AdamC of pytorch_optimizer: corrected decay for the layers that are named."""
    s = case["settings"]
    rates = jnp.asarray(s["lr_at_step"])
    corrected = {name: name in s["corrected"] for name in case["arrays"]}
    decay = s.get("weight_decay", 0.0)
    tx = gradtx.chain(
        _adam_with_floor(*s.get("betas", (0.9, 0.999)), s.get("eps", 1e-8)),
        gradtx.add_decayed_weights(
            decay,
            corrected,
            kind="corrected",
            learning_rate=lambda count: rates[count],
            peak_learning_rate=s["lr"],
        ),
        gradtx.add_decayed_weights(decay, {k: not x for k, x in corrected.items()}),
        gradtx.scale_by_learning_rate(lambda count: rates[count]),
    )
    return run(tx, case, p0, grads)


def _adam_with_floor(b1: float, b2: float, eps: float) -> Any:
    """Return Adam as pytorch_optimizer has it, with 1e-15 inside of the root."""

    def rule(g: jax.Array, m: jax.Array, v: jax.Array, *, t: Any) -> Any:
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        root = (jnp.sqrt(v + 1e-15) + eps) / jnp.sqrt(one_minus_power(b2, t, v.dtype))
        return debias(m, b1, t) / root, m, v

    return gradtx.leafwise(rule, gradtx.ScaleByAdamState, mu=zeros, nu=squares)


# --- norms -------------------------------------------------------------------


def hyperball(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Emerging-Optimizers' hook around gradient descent; the first norms are R."""
    s = case["settings"]
    tx = gradtx.hyperball(gradtx.sgd(s["lr"]), s["radius"], mask=True)
    return run(tx, case, p0, grads)


def relative_update(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Emerging-Optimizers' hook around gradient descent."""
    tx = gradtx.relative_update(gradtx.sgd(case["settings"]["lr"]), mask=True)
    return run(tx, case, p0, grads)


def radial_brake(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Emerging-Optimizers' hook around gradient descent."""
    s = case["settings"]
    tx = gradtx.radial_brake(
        gradtx.sgd(s["lr"]),
        s.get("outward_scale", 0.5),
        s.get("inward_scale", 1.0),
        mask=True,
    )
    return run(tx, case, p0, grads)


def muon_hyperball(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """MuonH of modded-nanogpt's third track: an exact iteration, no shape factor."""
    s = case["settings"]
    direction = gradtx.chain(momentum(s["mu"]), orthogonal(ns_coeffs=EXACT))
    tx = gradtx.hyperball(gradtx.descend(direction, s["lr"]))
    return run(tx, case, p0, grads)


METHODS: dict[str, Callable[..., Any]] = {
    "adamc": adamc,
    "adamw_independent": adamw_independent,
    "cautious_adamw": cautious_adamw,
    "cautious_decay_adamw": cautious_decay_adamw,
    "cautious_decay_lion": cautious_decay_lion,
    "cautious_lion": cautious_lion,
    "cautious_muon": cautious_muon,
    "hyperball": hyperball,
    "muon_hyperball": muon_hyperball,
    "radial_brake": radial_brake,
    "relative_update": relative_update,
}
