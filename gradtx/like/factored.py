"""Adafactor's step, with the freedoms in which PyTorch and Keras differ."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    ema,
    mean,
    real_dtype,
    safe_divide,
    sqrt,
    value_at,
)
from gradtx.common.types import Count, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, totals, unused
from gradtx.core.transformation import GradientTransformation
from gradtx.core.whole import of_whole_leaves
from gradtx.optimizers.adafactor import FactoredState
from gradtx.tree import norms


def factored_step(
    rate: ScalarOrSchedule,
    beta_2_decay: Scalar,
    threshold: Scalar,
    *,
    added: Scalar,
    least: Scalar | None,
    least_scale: Scalar,
) -> GradientTransformation:
    """Step downhill by Adafactor's rule, over the last two axes of every leaf.

        β = 1 - t^c
        R ← β R + (1 - β) mean(|g|² + ε₁, over rows),   C alike over columns
        V = R C / max(mean(R), ε)                     in vectors V is their mean
        u = g / √max(V, ε²)
        step: - max(ε₂, rms(p)) min(η, 1 / √t) u / max(1, rms(u) / d)

    Args:
      rate: η, or a schedule of steps.
      beta_2_decay: c, below 0.
      threshold: d, above 0.
      added: ε₁, at least 0.
      least: ε, at least 0; None stands for the precision of the parameter's type.
      least_scale: ε₂, at least 0.

    Raises:
      ValueError: if a number is outside of its range.
    """
    checks.positive(threshold=threshold, **{"-beta_2_decay": -beta_2_decay})
    checks.non_negative(added=added, least=least, least_scale=least_scale)

    def rule(
        g: jax.Array,
        row: jax.Array,
        col: jax.Array,
        v: jax.Array,
        *,
        t: Count,
        p: jax.Array,
    ) -> tuple[jax.Array, ...]:
        time = jnp.asarray(t).astype(real_dtype(g.dtype))
        decay = 1 - time**beta_2_decay
        square = abs_sq(g) + added
        floor = jnp.finfo(p.dtype).eps if least is None else least
        if g.ndim > 1:
            row = ema(row, mean(square, -1), decay)
            col = ema(col, mean(square, -2), decay)
            estimate = _outer(row, col, floor)
        else:
            v = ema(v, square, decay)
            estimate = v
        u = safe_divide(g, sqrt(jnp.maximum(estimate, jnp.square(floor))))
        u = u / jnp.maximum(1, norms.rms(u) / threshold)
        pace = jnp.minimum(value_at(rate, t - 1), jax.lax.rsqrt(time))
        return -jnp.maximum(least_scale, norms.rms(p)) * pace * u, row, col, v

    return of_whole_leaves(
        leafwise(
            rule,
            FactoredState,
            elementwise=False,
            v_row=partial(_side, -1),
            v_col=partial(_side, -2),
            v=_vector,
        )
    )


def _outer(row: jax.Array, col: jax.Array, floor: Any) -> jax.Array:
    """Return R C / mean(R), divided first, as a product of small means vanishes."""
    whole = jnp.maximum(mean(row, -1, keepdims=True), floor)
    return jnp.expand_dims(safe_divide(row, whole), -1) * jnp.expand_dims(col, -2)


def _side(axis: int, p: jax.Array) -> jax.Array:
    return totals(p, axis=axis) if p.ndim > 1 else unused(p)


def _vector(p: jax.Array) -> jax.Array:
    return unused(p) if p.ndim > 1 else squares(p)
