"""Adam's direction, with the freedoms in which PyTorch and Keras differ."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    one_minus_power,
    safe_divide,
    sqrt,
)
from gradtx.common.types import Count, Scalar, SecondMoment, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import ScaleByAdamState


class ScaleByAmsgradState(NamedTuple):
    """What :func:`scale_by_raw_adam` remembers with ``amsgrad``."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of their squares
    nu_max: SecondMoment  # w, the largest v so far


@transformation
def scale_by_raw_adam(
    b1: Scalar, b2: Scalar, eps: Scalar, amsgrad: bool, *, eps_hat: bool = False
) -> GradientTransformation:
    """Divide the mean gradient by the root of the mean square, or of its maximum.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) |g|²
        w ← max(w, v)                    with amsgrad, otherwise v
        u = m̂ / (√(w / (1 - β₂ᵗ)) + ε)   with m̂ = m / (1 - β₁ᵗ)
        u = m̂ √(1 - β₂ᵗ) / (√w + ε̂)      with eps_hat

    Args:
      b1: β₁.
      b2: β₂.
      eps: ε, or ε̂, which is not corrected for the bias and so weighs more in the first
        steps.
      amsgrad: whether to divide by the largest raw moment so far.
      eps_hat: whether ε is ε̂.

    Raises:
      ValueError: if a decay is outside [0, 1) or ε is negative.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980 (section 2, end)
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *largest: jax.Array, t: Count
    ) -> tuple[Any, ...]:
        m = ema(m, g, b1)
        v = ema(v, abs_sq(g), b2)
        w = jnp.maximum(largest[0], v) if amsgrad else v
        correction = jnp.sqrt(one_minus_power(b2, t, v.dtype))
        root, epsilon = sqrt(w) / correction, eps / correction if eps_hat else eps
        u = safe_divide(debias(m, b1, t), root + epsilon)
        return u, m, v, *((w,) if amsgrad else ())

    if amsgrad:
        state: Any = ScaleByAmsgradState
        return leafwise(rule, state, mu=zeros, nu=squares, nu_max=squares)
    return leafwise(rule, ScaleByAdamState, mu=zeros, nu=squares)
