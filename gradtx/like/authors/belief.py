"""The direction of AdaBelief, with what its authors' package adds to the paper."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    one_minus,
    one_minus_power,
    safe_divide,
    sqrt,
)
from gradtx.common.types import Count, DTypeLike, Scalar, SecondMoment, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adabelief import ScaleByBeliefState

# Below this length of the mean its variance counts as unknown; RAdam's paper says 4.
_LONG_ENOUGH = 5


class ScaleByAmsBeliefState(NamedTuple):
    """What :func:`scale_by_rectified_belief` remembers with ``amsgrad``."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # s, the mean squared surprise
    nu_max: SecondMoment  # w, the largest s so far


@transformation
def scale_by_rectified_belief(
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    amsgrad: bool,
    rectify: bool,
    degenerated_to_sgd: bool,
) -> GradientTransformation:
    """Divide the mean gradient by its surprise; the equations are at ``AdaBelief``.

    Raises:
      ValueError: if a decay is outside [0, 1) or ε is negative.
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps)

    def rule(
        g: jax.Array, m: jax.Array, s: jax.Array, *largest: jax.Array, t: Count
    ) -> tuple[Any, ...]:
        m = ema(m, g, b1)
        s = ema(s, abs_sq(g - m), b2) + eps
        w = jnp.maximum(largest[0], s) if amsgrad else s
        mean = debias(m, b1, t)
        if rectify:
            length, factor = rectification(b2, t, s.dtype)
            early = mean if degenerated_to_sgd else jnp.zeros_like(mean)
            late = factor * safe_divide(mean, sqrt(s) + eps)
            u = jnp.where(length >= _LONG_ENOUGH, late, early)
        else:
            u = safe_divide(mean, sqrt(debias(w, b2, t)) + eps)
        return u, m, s, *((w,) if amsgrad else ())

    if amsgrad:
        state: Any = ScaleByAmsBeliefState
        return leafwise(rule, state, mu=zeros, nu=squares, nu_max=squares)
    return leafwise(rule, ScaleByBeliefState, mu=zeros, nu=squares)


def rectification(b2: Scalar, t: Count, dtype: DTypeLike) -> tuple[Any, jax.Array]:
    """Return ρ, the length of the mean of squares, and r √(1 - β₂ᵗ) where ρ ≥ 5."""
    t_real = jnp.asarray(t).astype(dtype)
    correction = one_minus_power(b2, t, dtype)
    limit = 2 / one_minus(b2) - 1
    length = limit - 2 * t_real * (1 - correction) / correction
    known = length >= _LONG_ENOUGH
    # Where ρ < 5 the product may be negative, and its root would spoil the gradient.
    above = (length - 4) * (length - 2) * limit
    below = (limit - 4) * (limit - 2) * length
    square = correction * jnp.where(known, above, 1) / jnp.where(known, below, 1)
    return length, jnp.sqrt(square)
