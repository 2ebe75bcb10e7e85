"""Grokfast: what the gradients slowly agree on, added to them again."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema
from gradtx.common.types import Count, DTypeLike, PyTree, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.history import history, put


class GrokfastEmaState(NamedTuple):
    """What :func:`grokfast_ema` remembers."""

    count: Count
    ema: Updates  # e, the running mean of the gradients


class GrokfastMaState(NamedTuple):
    """What :func:`grokfast_ma` remembers."""

    count: Count
    window: PyTree  # the last gradients, along a new first axis


@transformation
def grokfast_ema(
    alpha: Scalar = 0.98,
    lamb: Scalar = 2.0,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Add to the gradients their exponential running mean: the slow part of them.

        e ← α e + (1 - α) g                  e = g at the first step
        u = g + λ e

    Stands in front of any method.

    Args:
      alpha: α, in [0, 1): how much of the mean is kept at each step.
      lamb: λ, at least 0: how much of the mean is added.
      accumulator_dtype: the type to keep the mean in; the parameter's if None.

    Raises:
      ValueError: if a number is outside its range.

    Reference: Lee et al., 2024, https://arxiv.org/abs/2405.20233 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.grokfast_ema(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 6.0000005 -3.0000002]
    """
    checks.decay_rates(alpha=alpha)
    checks.non_negative(lamb=lamb)

    def rule(g: jax.Array, e: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        e = jnp.where(t == 1, g, ema(e, g, alpha))
        return g + lamb * e, e

    return leafwise(rule, GrokfastEmaState, ema=partial(zeros, dtype=accumulator_dtype))


@transformation
def grokfast_ma(
    window_size: int = 100,
    lamb: Scalar = 5.0,
    filter_type: str = "mean",
    warmup: bool = True,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Add to the gradients the mean of the last ones.

        u = g + λ mean(the last w gradients)

    Stands in front of any method. It keeps w times the memory of the gradients, and
    reads all of it at every step; :func:`grokfast_ema` does with one.

    Args:
      window_size: w, at least 1.
      lamb: λ, at least 0: how much of the mean is added.
      filter_type: "mean", or "sum" for the sum in its place.
      warmup: whether to wait until there are w gradients; otherwise the mean or sum is
        that of those there are.
      accumulator_dtype: the type to keep the gradients in; the parameter's if None.

    Raises:
      ValueError: if a number is outside its range, or for another filter.

    Reference: Lee et al., 2024, https://arxiv.org/abs/2405.20233 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.grokfast_ma(2), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    checks.positive_int(window_size=window_size)
    checks.non_negative(lamb=lamb)
    if filter_type not in ("mean", "sum"):
        raise checks.InvalidArgument(
            f'filter_type must be "mean" or "sum", got {filter_type!r}'
        )

    def rule(g: jax.Array, kept: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        kept = put(kept, g, (t - 1) % window_size)
        slow = jnp.sum(kept, axis=0)
        if filter_type == "mean":
            slow = slow / jnp.minimum(t, window_size).astype(slow.real.dtype)
        if warmup:
            slow = jnp.where(t >= window_size, slow, 0)
        return g + lamb * slow, kept

    slot = partial(history, window_size, dtype=accumulator_dtype)
    return leafwise(rule, GrokfastMaState, window=slot)
