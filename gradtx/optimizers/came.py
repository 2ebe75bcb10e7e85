"""CAME: Adafactor, with steps that shrink where they are not what was expected."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, ema, mean, safe_divide, sqrt
from gradtx.common.types import (
    DTypeLike,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, totals, unused, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.core.whole import of_whole_leaves
from gradtx.optimizers.adafactor import over_outer
from gradtx.tree import norms
from gradtx.wrappers.chain import descend


class ScaleByCameState(NamedTuple):
    """What :func:`scale_by_came` remembers.

    Leaves of fewer than two axes use ``mu`` and ``v`` alone, others all but ``v``; what
    is not used holds a single 0.
    """

    mu: Updates  # m, the mean of the clipped updates
    v_row: SecondMoment  # R, the means of the squares over the last axis
    v_col: SecondMoment  # C, over the last axis but one
    v: SecondMoment  # V, the mean squares of leaves that are not factored
    res_row: SecondMoment  # the means of the squared distances over the last axis
    res_col: SecondMoment  # over the last axis but one


@transformation
def scale_by_came(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: Scalar = 0.9999,
    eps: Scalar = 1e-30,
    eps_distance: Scalar = 1e-16,
    clipping_threshold: Scalar = 1.0,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide a mean update by how far the single updates lie from it, in factors.

        v̂ = factored(|g|² + ε₁; β₂)
        x = g / √v̂,   x ← x / max(1, rms(x) / d)
        m ← β₁ m + (1 - β₁) x
        ŝ = factored(|x - m|² + ε₂; β₃)
        u = m / √ŝ

    factored(y; β) keeps running means R and C of y over the last axis and over the last
    but one, and is R C / mean(R) for each matrix of the last two axes. A leaf of fewer
    axes keeps a running mean of its squares whole, and u = m.

    No mean is corrected for its bias. In x the clip makes up for it, but u is long in
    the first steps, by up to 1 / √(1 - β₃): warm the learning rate up.

    Args:
      b1: β₁, how much of the mean update is kept at each step.
      b2: β₂, how much of the mean squares is kept.
      b3: β₃, how much of the mean squared distances is kept.
      eps: ε₁, added to the squares.
      eps_distance: ε₂, added to the squared distances.
      clipping_threshold: d, the largest root mean square of x.
      mu_dtype: the type to keep m in; the parameter's if None.

    Raises:
      ValueError: if a decay is outside [0, 1), an epsilon negative, or d not positive.

    Reference: Luo et al., 2023, https://arxiv.org/abs/2307.02047 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_came(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 18.14   7.41]
       [  0.   -12.83]]
    """
    checks.decay_rates(b1=b1, b2=b2, b3=b3)
    checks.non_negative(eps=eps, eps_distance=eps_distance)
    checks.positive(clipping_threshold=clipping_threshold)

    def clipped(x: jax.Array) -> jax.Array:
        return x / jnp.maximum(1, norms.rms(x) / clipping_threshold)

    def rule(
        g: jax.Array,
        m: jax.Array,
        row: jax.Array,
        col: jax.Array,
        v: jax.Array,
        res_row: jax.Array,
        res_col: jax.Array,
    ) -> tuple[jax.Array, ...]:
        square = abs_sq(g) + eps
        if not _is_factored(g):
            v = ema(v, square, b2)
            m = ema(m, clipped(safe_divide(g, sqrt(v))), b1)
            return m, m, row, col, v, res_row, res_col
        row, col = _followed(row, col, square, b2)
        x = clipped(over_outer(g, row, col, _last_two(g)))
        m = ema(m, x, b1)
        distance = abs_sq(x - m) + eps_distance
        res_row, res_col = _followed(res_row, res_col, distance, b3)
        u = over_outer(m, res_row, res_col, _last_two(g))
        return u, m, row, col, v, res_row, res_col

    return of_whole_leaves(
        leafwise(
            rule,
            ScaleByCameState,
            elementwise=False,
            mu=partial(zeros, dtype=mu_dtype),
            v_row=_rows,
            v_col=_columns,
            v=lambda p: unused(p) if _is_factored(p) else squares(p),
            res_row=_rows,
            res_col=_columns,
        )
    )


def _is_factored(x: jax.Array) -> bool:
    return x.ndim > 1


def _last_two(x: jax.Array) -> tuple[int, int]:
    return x.ndim - 2, x.ndim - 1


def _rows(p: jax.Array) -> jax.Array:
    return totals(p, axis=-1) if _is_factored(p) else unused(p)


def _columns(p: jax.Array) -> jax.Array:
    return totals(p, axis=-2) if _is_factored(p) else unused(p)


def _followed(
    row: jax.Array, col: jax.Array, square: jax.Array, decay: Scalar
) -> tuple[jax.Array, jax.Array]:
    """Return both running means after one more array of squares."""
    second, first = _last_two(square)
    return ema(row, mean(square, first), decay), ema(col, mean(square, second), decay)


@transformation
def came(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: Scalar = 0.9999,
    eps: Scalar = 1e-30,
    eps_distance: Scalar = 1e-16,
    clipping_threshold: Scalar = 1.0,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """CAME: :func:`scale_by_came` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    Args:
      learning_rate: η, or a schedule of the number of steps taken, which should rise
        slowly at first.
      b1: β₁, how much of the mean update is kept at each step.
      b2: β₂, how much of the mean squares is kept.
      b3: β₃, how much of the mean squared distances is kept.
      eps: ε₁, added to the squares.
      eps_distance: ε₂, added to the squared distances.
      clipping_threshold: d, the largest root mean square of a single update.
      weight_decay: λ, or a schedule of it; None leaves the decay out.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      mu_dtype: the type to keep m in; the parameter's if None.

    Raises:
      ValueError: if a decay rate is outside [0, 1), d not positive, or another number
        but the learning rate is negative.

    Reference: Luo et al., 2023, https://arxiv.org/abs/2307.02047 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.came(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-1.81 -0.74]
       [-0.    1.28]]
    """
    direction = scale_by_came(
        b1, b2, b3, eps, eps_distance, clipping_threshold, mu_dtype
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
