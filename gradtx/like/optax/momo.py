"""MoMo and MoMo-Adam as in optax."""

from typing import Any

import jax

from gradtx.common.numerics import value_at
from gradtx.common.types import OptState, Params, Scalar, ScalarOrSchedule, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.optimizers.momo import momo as momo_of_paper
from gradtx.optimizers.momo_adam import momo_adam as momo_adam_of_paper


@transformation
def momo(
    learning_rate: ScalarOrSchedule = 1.0,
    beta: Scalar = 0.9,
    lower_bound: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    """MoMo, as ``optax.contrib.momo``.

        p ← p / ρ - τ m                   ρ = 1 + η λ, τ and m as in :func:`gradtx.momo`

    The paper divides τ m by ρ too. ``update`` wants the loss as the extra argument
    ``value``.

    Args:
      learning_rate: η, at least 0, the longest step size, or a schedule of the number
        of steps taken.
      beta: β in [0, 1), how much of the means is kept at each step.
      lower_bound: below which the loss does not fall.
      weight_decay: λ, at least 0.
      adapt_lower_bound: whether to estimate the lower bound.

    Raises:
      ValueError: if a number is outside of its range; from ``update`` if it is given no
        parameters or no ``value``.

    Reference: Schaipp et al., 2023, https://arxiv.org/abs/2305.07583

    Example:
      >>> tx, params = gradtx.like.optax.momo(), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [-1. -1.]
    """
    inner = momo_of_paper(
        learning_rate, beta, lower_bound, weight_decay, adapt_lower_bound
    )
    return _undivided(inner, learning_rate, weight_decay)


@transformation
def momo_adam(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    lower_bound: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    """MoMo-Adam, as ``optax.contrib.momo_adam``.

        p ← p / ρ - τ m / D             ρ = 1 + η λ, all as in :func:`gradtx.momo_adam`

    The paper divides τ m / D by ρ too. ``update`` wants the loss as the extra argument
    ``value``.

    Args:
      learning_rate: η, at least 0, the longest step size, or a schedule of the number
        of steps taken.
      b1: β₁ in [0, 1), how much of the means is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0.
      lower_bound: below which the loss does not fall.
      weight_decay: λ, at least 0.
      adapt_lower_bound: whether to estimate the lower bound.

    Raises:
      ValueError: if a number is outside of its range; from ``update`` if it is given no
        parameters or no ``value``.

    Reference: Schaipp et al., 2023, https://arxiv.org/abs/2305.07583

    Example:
      >>> tx, params = gradtx.like.optax.momo_adam(), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [-0.01 -0.01]
    """
    moments = (learning_rate, b1, b2, eps)
    inner = momo_adam_of_paper(*moments, lower_bound, weight_decay, adapt_lower_bound)
    return _undivided(inner, learning_rate, weight_decay)


def _undivided(
    inner: GradientTransformation, rate: ScalarOrSchedule, decay: Scalar
) -> GradientTransformation:
    """Leave the step undivided by ρ: ours is -(s + (ρ - 1) p) / ρ for the step s."""
    longer = leafwise(_without_the_division, EmptyState)

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        divided, new = inner.update(updates, state, params, **extra)
        rho = 1 + value_at(rate, state.count) * decay
        undivided, _empty = longer.update(divided, EmptyState(), params, rho=rho)
        return undivided, new

    return GradientTransformation(inner.init, update)


def _without_the_division(u: jax.Array, *, p: jax.Array, rho: Any) -> jax.Array:
    return rho * u + (rho - 1) ** 2 / rho * p
