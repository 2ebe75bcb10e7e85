"""Multiply the updates by a number: fixed, scheduled, or minus the learning rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import (
    Count,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Schedule,
    Updates,
)
from gradtx.core.leafwise import leafwise, matching_params
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    identity,
    init_empty_state,
    transformation,
)
from gradtx.lowering.sharding import zero_count

ScaleState = EmptyState


class ScaleByScheduleState(NamedTuple):
    """What :func:`scale_by_schedule` remembers: the number of steps taken."""

    count: Count


@transformation
def scale(step_size: Scalar) -> GradientTransformation:
    """Multiply every update by a number of either sign.

        u = step_size · g

    Args:
      step_size: the factor.

    Raises:
      ValueError: if ``step_size`` is infinite or NaN.
    """
    checks.finite(step_size=step_size)
    return leafwise(lambda g: step_size * g, ScaleState)


@transformation
def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Multiply every update by the schedule's value at this step.

        u = step_size_fn(t) · g            t = 0 at the first step

    Args:
      step_size_fn: from the number of steps taken before this one to the factor.
        Outside of ``jit`` it is called at every step with the number as it is, and may
        branch on it.
    """

    def init(params: Params) -> OptState:
        return ScaleByScheduleState(zero_count(params))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
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
def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule | None = None, *, flip_sign: bool = True
) -> GradientTransformation:
    """Multiply the direction by the learning rate, and turn it downhill.

        u = -η g

    Args:
      learning_rate: η, or a schedule of the number of steps taken. As a schedule it
        keeps the step count in a :class:`ScaleByScheduleState`. None passes the
        updates on as they are.
      flip_sign: whether to multiply by -1, as descent needs.

    Raises:
      ValueError: if the learning rate is negative, infinite or NaN.
    """
    checks.non_negative(learning_rate=learning_rate)
    if learning_rate is None:
        return identity()
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    return leafwise(lambda g: sign * learning_rate * g, ScaleState)


@transformation
def set_to_zero() -> GradientTransformation:
    """Make every update zero, so that the parameters stand still.

    Integer parameters too: their updates are integer zeros.
    """

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = jax.tree_util.tree_flatten_with_path(
            updates, is_leaf=checks.is_none
        )
        leaves = [(path, _array(g)) for path, g in leaves]
        parameters = matching_params(params, leaves, treedef)
        pairs = zip(leaves, parameters, strict=True)
        return treedef.unflatten([_zero(g, p) for (_, g), p in pairs]), state

    return GradientTransformation(init_empty_state, update)


def _array(g: Any) -> Any:
    return g if g is None or _missing(g) else jnp.asarray(g)


def _missing(g: Any) -> bool:
    """Whether this is what JAX gives for the gradient of an integer parameter."""
    return getattr(g, "dtype", None) == jax.dtypes.float0


def _zero(g: Any, p: Any) -> Any:
    if g is None or (p is None and _missing(g)):
        return g
    return jnp.zeros_like(g if p is None else p)


@transformation
def scale_by_sign() -> GradientTransformation:
    """Replace every update by its sign: -1, 0 or 1.

    The sign of a complex number is taken of its two parts apart.
    """
    return leafwise(numerics.sign, EmptyState)
