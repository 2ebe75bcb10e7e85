"""Multiply the updates by a number: fixed or scheduled, its sign, or zero."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx.common import checks, directions, numerics
from gradtx.common.leaves import frozen_update, is_numeric
from gradtx.common.types import (
    Count,
    OptState,
    Params,
    Scalar,
    Schedule,
    Updates,
)
from gradtx.core import order, state_fit
from gradtx.core.leafwise import flatten_updates, leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    init_empty_state,
    transformation,
)
from gradtx.lowering.sharding import zero_count

ScaleState = EmptyState


class ScaleByScheduleState(NamedTuple):
    """What :func:`scale_by_schedule` remembers: the number of steps taken."""

    count: Count


@order.keeps("direction")
@transformation
def scale(step_size: Scalar) -> GradientTransformation:
    """Multiply every update by a number of either sign.

        u = step_size · g

    Args:
      step_size: the factor, a finite number.

    Raises:
      ValueError: if ``step_size`` is infinite or NaN.

    Example:
      >>> tx, params = gradtx.scale(-0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.finite(step_size=step_size)
    return leafwise(lambda g: step_size * g, ScaleState)


@order.keeps("direction")
@transformation
def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Multiply every update by the schedule's value at this step.

        u = step_size_fn(t) · g            t = 0 at the first step

    Args:
      step_size_fn: from the number of steps taken before this one to the factor.
        Outside of ``jit`` it is called at every step with the number as it is, and may
        branch on it.

    Example:
      >>> tx, params = (
      ...     gradtx.scale_by_schedule(gradtx.linear_schedule(1.0, 0.0, 10)),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """

    def init(params: Params) -> OptState:
        return ScaleByScheduleState(zero_count(params))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        state_fit.of_class(state, ScaleByScheduleState, ["count"])
        factor = step_size_fn(state.count)
        return _MULTIPLY.update(updates, state, params, factor=factor)

    return GradientTransformation(init, update)


@transformation
def _multiply() -> GradientTransformation:
    """Multiply by the extra argument ``factor``, and count."""
    multiply = leafwise(lambda g, *, factor: factor * g, EmptyState)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        updates, _empty = multiply.update(updates, EmptyState(), params, **extra)
        return updates, ScaleByScheduleState(numerics.safe_increment(state.count))

    return GradientTransformation(multiply.init, update)


_MULTIPLY = _multiply()


@transformation
def set_to_zero() -> GradientTransformation:
    """Make every update zero, so that the parameters stand still.

    Integer parameters too, whatever their gradients: their updates are integer zeros.

    Example:
      >>> tx, params = gradtx.set_to_zero(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [0. 0.]
    """

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        return zeros_for(updates, params), state

    return GradientTransformation(init_empty_state, update)


def zeros_for(updates: Updates, params: Params | None) -> Updates:
    """Return updates of zero, in the types of the parameters where they are given."""
    leaves, treedef = flatten_updates(updates)
    like = updates if params is None else params
    found = checks.leaves_like(like, treedef, "parameters", "updates")
    pairs = zip(leaves, found, strict=True)
    return treedef.unflatten([_zero(*leaf, p) for leaf, p in pairs])


def _zero(path: Any, g: Any, p: Any) -> Any:
    if is_numeric(g) and is_numeric(p):
        shapes = jnp.shape(g), jnp.shape(p)
        checks.same_shape(*shapes, path, "the gradient", "the parameter")
    return frozen_update(g, p)


@transformation
def scale_by_sign() -> GradientTransformation:
    """Replace every update by its sign: -1, 0 or 1.

    The sign of a complex number is taken of its two parts apart.

    Example:
      >>> tx, params = gradtx.scale_by_sign(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    return leafwise(directions.sign, EmptyState)
