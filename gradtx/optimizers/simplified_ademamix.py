"""Simplified AdEMAMix: one mean, beside which the newest gradient has a weight."""

from typing import NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, debias, ema, safe_divide, sqrt, value_at
from gradtx.common.types import (
    Count,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, wide_zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.wrappers.chain import descend


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """What :func:`scale_by_simplified_ademamix` remembers."""

    t: Count
    m: Updates  # the decaying sum of the gradients
    n: SecondMoment  # the mean of their squares


@transformation
def scale_by_simplified_ademamix(
    b1: Scalar = 0.99,
    b2: Scalar = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
) -> GradientTransformation:
    """Divide the decaying sum of the gradients, and some of the newest, by their size.

        m ← β₁ m + g
        n ← β₂ n + (1 - β₂) |g|²
        u = (m + α g) / (√(n̂ + ε_root) + ε)          n̂ = n / (1 - β₂ᵗ)

    m is a sum, so that the step is up to 1 / (1 - β₁) times as long as Adam's: divide
    the learning rate by that.

    Args:
      b1: β₁, how much of the sum is kept at each step.
      b2: β₂, how much of the mean square is kept.
      alpha: α, the weight of the newest gradient, or a schedule of the number of steps
        taken.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.

    Raises:
      ValueError: if a decay is outside [0, 1), or another number is negative.

    Reference: Morwani et al., 2025, https://arxiv.org/abs/2502.02431

    Example:
      >>> tx, params = gradtx.scale_by_simplified_ademamix(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(alpha=alpha, eps=eps, eps_root=eps_root)

    def rule(
        g: jax.Array, m: jax.Array, n: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = b1 * m + g
        n = ema(n, abs_sq(g), b2)
        mean = m + value_at(alpha, t - 1) * g
        return safe_divide(mean, sqrt(debias(n, b2, t) + eps_root) + eps), m, n

    return leafwise(rule, ScaleBySimplifiedAdEMAMixState, m=wide_zeros, n=squares)


@transformation
def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.99,
    b2: Scalar = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
) -> GradientTransformation:
    """Descend along :func:`scale_by_simplified_ademamix`, by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken; start from that of
        Adam, times 1 - β₁.
      b1: β₁ in [0, 1), how much of the sum is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      alpha: α, at least 0, the weight of the newest gradient, or a schedule of the
        number of steps taken.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.

    Example:
      >>> tx, params = gradtx.simplified_ademamix(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root)
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
