"""Optimism: step as if the gradient would change again as it just did."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import (
    Count,
    DTypeLike,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.lowering.sharding import zero_count
from gradtx.optimizers.adam import scale_by_adam
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.wrappers.chain import chain, descend


class ScaleByOptimisticGradientState(NamedTuple):
    """What :func:`scale_by_optimistic_gradient` remembers."""

    is_initial_step: jax.Array
    previous_gradient: Updates


class ScaleByOptimisticGradientWithCountState(NamedTuple):
    """The same, where a number is a schedule of the steps taken.

    Example:
      >>> rate = gradtx.linear_schedule(1.0, 0.0, 9)
      >>> state = gradtx.scale_by_optimistic_gradient(alpha=rate).init(jnp.ones(2))
      >>> print(state.count)
      0
    """

    is_initial_step: jax.Array
    previous_gradient: Updates
    count: Count


class _Last(NamedTuple):
    previous_gradient: Updates


@transformation
def scale_by_optimistic_gradient(
    alpha: ScalarOrSchedule = 1.0, beta: ScalarOrSchedule = 1.0
) -> GradientTransformation:
    """Add the change since the last gradient to the gradient.

        u = α g + β (g - gₗₐₛₜ)                  gₗₐₛₜ = g at the first step

    Args:
      alpha: α, or a schedule of the number of steps taken.
      beta: β, how much of the change is expected to come again, or a schedule of it.

    Raises:
      ValueError: if a number is infinite or NaN.

    Reference: Mokhtari et al., 2020, https://arxiv.org/abs/1901.08511

    Example:
      >>> tx, params = gradtx.scale_by_optimistic_gradient(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    checks.finite(alpha=alpha, beta=beta)
    counts = callable(alpha) or callable(beta)

    def rule(
        g: jax.Array, last: jax.Array, *, first: Any, now: tuple[Any, Any]
    ) -> tuple[jax.Array, ...]:
        g = numerics.overwrite(last, g, first)
        change = jnp.where(first, 0, g - last)
        return now[0] * g + now[1] * change, g

    step = leafwise(rule, _Last, previous_gradient=zeros)

    def init(params: Params) -> OptState:
        count = zero_count(params)
        last = step.init(params).previous_gradient
        state = ScaleByOptimisticGradientState(count == 0, last)
        return _counting(state, zero_count(params)) if counts else state

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        first, last = state[:2]
        count = state[2] if counts else None
        now = numerics.value_at(alpha, count), numerics.value_at(beta, count)
        u, new = step.update(updates, _Last(last), params, first=first, now=now)
        never = jnp.zeros_like(first)
        new_state = ScaleByOptimisticGradientState(never, new.previous_gradient)
        if counts:
            return u, _counting(new_state, numerics.safe_increment(count))
        return u, new_state

    return GradientTransformation(init, update)


def _counting(state: ScaleByOptimisticGradientState, count: Count) -> OptState:
    return ScaleByOptimisticGradientWithCountState(*state, count)


@transformation
def optimistic_gradient_descent(
    learning_rate: ScalarOrSchedule,
    alpha: ScalarOrSchedule = 1.0,
    beta: ScalarOrSchedule = 1.0,
) -> GradientTransformation:
    """Go downhill optimistically: :func:`scale_by_optimistic_gradient` as an optimizer.

        p ← p - η (α g + β (g - gₗₐₛₜ))

    In games, where plain descent circles around the equilibrium, this goes to it.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      alpha: α, a finite number, or a schedule of the number of steps taken.
      beta: β, a finite number, how much of the change is expected to come again, or a
        schedule of it.

    Example:
      >>> tx, params = gradtx.optimistic_gradient_descent(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    return descend(scale_by_optimistic_gradient(alpha, beta), learning_rate)


@transformation
def optimistic_adam_v2(
    learning_rate: ScalarOrSchedule,
    *,
    alpha: ScalarOrSchedule = 1.0,
    beta: ScalarOrSchedule = 1.0,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    nesterov: bool = True,
) -> GradientTransformation:
    """Optimistic Adam: expect the change of Adam's direction to come again.

        p ← p - η (α u + β (u - uₗₐₛₜ))            u: the direction of scale_by_adam

    The paper has α = β = 1, without ``nesterov``.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      alpha: α, or a schedule of it.
      beta: β, or a schedule of it.
      b1: β₁, how much of Adam's mean is kept at each step.
      b2: β₂, how much of its mean square is kept.
      eps: ε, outside the root.
      eps_root: what is added inside the root.
      mu_dtype: the type to keep the mean in; the parameter's if None.
      nesterov: whether Adam's mean looks one step ahead besides.

    Raises:
      ValueError: if a number is outside its range.

    Reference: Daskalakis et al., 2018, https://arxiv.org/abs/1711.00141 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.optimistic_adam_v2(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.147  0.147]
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def optimistic_adam(
    learning_rate: ScalarOrSchedule,
    optimism: ScalarOrSchedule | None = None,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    """Optimistic Adam in its older form, deprecated for :func:`optimistic_adam_v2`.

        p ← p - (η u + ω (u - uₗₐₛₜ))              u: the direction of scale_by_adam

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      optimism: ω, or a schedule of it; η if None.
      b1: β₁, how much of Adam's mean is kept at each step.
      b2: β₂, how much of its mean square is kept.
      eps: ε, outside the root.
      eps_root: what is added inside the root.
      mu_dtype: the type to keep the mean in; the parameter's if None.
      nesterov: whether Adam's mean looks one step ahead besides.

    Raises:
      ValueError: if a number is outside its range.

    Reference: Daskalakis et al., 2018, https://arxiv.org/abs/1711.00141

    Example:
      >>> tx, params = gradtx.optimistic_adam(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.147  0.147]
    """
    checks.deprecated("optimistic_adam is deprecated, use `optimistic_adam_v2` instead")
    checks.finite(learning_rate=learning_rate, optimism=optimism)
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(
            learning_rate, learning_rate if optimism is None else optimism
        ),
        scale_by_learning_rate(1.0),
    )
