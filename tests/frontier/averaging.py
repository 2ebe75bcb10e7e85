"""Averages of weights and outer loops: how recorded cases are run with gradtx."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from frontier.driver import arrays, columns, run

import gradtx


def gpa_adamw(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """GPA-AdamW of facebookresearch/optimizers; recorded are y and, evaluated, x."""
    s = case["settings"]
    weighted = s.get("iterate_averaging_type") == "SCHEDULE_FREE"
    adam = gradtx.adam(
        s["lr"], s.get("beta1", 0.9), s.get("beta2", 0.999), s.get("eps", 1e-8)
    )
    tx = gradtx.primal_averaging(
        adam,
        s.get("train_interp_coeff", 0.7),
        None if weighted else s.get("eval_interp_coeff", 0.9967),
        weight_power=s.get("weight_pow_coeff", 0.0),
        weight_lr_power=s.get("weight_lr_power", 2.0),
        weight_decay=s.get("weight_decay", 0.0),
        decay_at="y" if s.get("use_wd_on_y") else "z",
    )
    return run(tx, case, p0, grads, shown={"eval_params": gradtx.eval_params})


def outer_nesterov(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """MuLoCo of modded-nanogpt's third track, around Adam."""
    s = case["settings"]
    tx = gradtx.outer_nesterov(
        gradtx.adam(0.02), s["sync_interval"], s["outer_lr"], s["outer_momentum"]
    )
    return run(tx, case, p0, grads)


def ema_nesterov_adam(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """EMA-Nesterov of the third track: the gradient hangs on where it is taken.

    Recorded are x after the step and y, where the gradient of the step was taken.
    """
    s = case["settings"]
    first, last = s["prefill_steps"], s["rest_steps"]

    def step_size(count: Any) -> Any:
        ahead = (first < count + 1) & (count + 1 <= last)
        return jnp.where(ahead, s["lookahead_stepsize"], 0.0)

    tx = gradtx.ema_nesterov(gradtx.adam(0.02), step_size, s["lookahead_ema"])
    params = arrays(case, p0)
    state = tx.init(params)

    @jax.jit
    def step(params: Any, state: Any, g: Any) -> Any:
        slopes = jax.tree.map(lambda g, p: g + 0.1 * p, g, params)
        updates, state = tx.update(slopes, state, params)
        params = gradtx.apply_updates(params, updates)
        return params, state, gradtx.eval_params(state, params)

    taken, ahead = [], []
    for g in grads:
        ahead.append(params)
        params, state, x = step(params, state, arrays(case, g))
        taken.append(x)
    return columns(taken) | {"look_ahead": columns(ahead)}


METHODS: dict[str, Callable[..., Any]] = {
    "ema_nesterov_adam": ema_nesterov_adam,
    "gpa_adamw": gpa_adamw,
    "outer_nesterov": outer_nesterov,
}
