"""RAdam as in PyTorch."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    one_minus_power,
    real_dtype,
    safe_divide,
    sqrt,
)
from gradtx.common.types import Count, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import descended
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.optimizers.radam import averaged_steps, rectification
from gradtx.wrappers.split_complex import split_real_and_imaginary

_LONG_ENOUGH = 5  # the least length of the mean of squares


@foreign_signature("weight_decay")
def RAdam(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar | None = 0,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
    params: Any = None,
) -> GradientTransformation:
    """RAdam, as ``torch.optim.RAdam``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        m ← β₁ m + (1 - β₁) g,    v ← β₂ v + (1 - β₂) g²
        p ← p - η r m̂ √(1 - β₂ᵗ) / (√v + ε)   where ρ > 5,   p - η m̂ before

    with m̂ = m / (1 - β₁ᵗ), and r and ρ as in :func:`gradtx.scale_by_radam`. There ε is
    added to the corrected root, here to the raw one.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      betas: (β₁, β₂), each in [0, 1).
      eps: ε, at least 0.
      weight_decay: λ, at least 0; 0 or None for no decay.
      decoupled_weight_decay: whether p ← (1 - η λ) p stands beside the step in place of
        the penalty.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      capturable: means nothing here.
      differentiable: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Liu et al., 2020, https://arxiv.org/abs/1908.03265

    Example:
      >>> tx, params = gradtx.like.torch.RAdam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.002  0.001]
    """
    refuse(params=params, foreach=foreach)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    b1, b2 = betas
    return descended(
        split_real_and_imaginary(_direction(b1, b2, eps)),
        lr,
        weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


def _direction(b1: Scalar, b2: Scalar, eps: Scalar) -> GradientTransformation:
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        v = ema(v, abs_sq(g), b2)
        mean, dtype = debias(m, b1, t), real_dtype(g.dtype)
        length = averaged_steps(b2, t, dtype)
        known = length > _LONG_ENOUGH
        factor = rectification(length, b2, known) * sqrt(one_minus_power(b2, t, dtype))
        return jnp.where(known, factor * safe_divide(mean, sqrt(v) + eps), mean), m, v

    return leafwise(rule, ScaleByAdamState, mu=zeros, nu=squares)
