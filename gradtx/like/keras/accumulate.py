"""Keras's accumulation of gradients."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import compute_dtype, is_differentiable
from gradtx.common.types import (
    Count,
    OptState,
    Params,
    PyTree,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation
from gradtx.lowering.control_flow import either
from gradtx.lowering.sharding import zero_count
from gradtx.primitives.scale import zeros_for


class AccumulationState(NamedTuple):
    """What Keras's ``gradient_accumulation_steps`` remembers."""

    count: Count  # the calls made since the last step
    total: Updates  # the sum of their gradients
    inner_state: OptState


class _Total(NamedTuple):
    total: Updates


def accumulated(tx: GradientTransformation, every: int) -> GradientTransformation:
    """Step only every so many calls, with the mean of their gradients.

    The sum is kept in float32 or wider. Between the steps all updates are zero.

    Args:
      tx: what makes a step.
      every: the number of calls that make one.

    Raises:
      ValueError: if the number is below 2.
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 2:  # noqa: PLR2004
        raise checks.InvalidArgument(
            "gradient_accumulation_steps must be a whole number of at least 2, or "
            f"None, got {every!r}"
        )
    adding = leafwise(lambda g, total: (g, total + g), _Total, total=_zeros)

    def init(params: Params) -> AccumulationState:
        total = adding.init(params).total
        return AccumulationState(zero_count(params), total, tx.init(params))

    def update(
        updates: Updates,
        state: AccumulationState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, AccumulationState]:
        # The walk of leafwise refuses gradients that do not fit, before they are added.
        _, (total,) = adding.update(updates, _Total(state.total), params)
        means = jax.tree.map(
            partial(_mean, every), updates, total, is_leaf=checks.is_none
        )
        step = partial(tx.update, means, state.inner_state, params, **extra)
        nothing = zeros_for(updates, params)
        count = (state.count + 1) % every
        steps = count == 0
        new, inner_state = either(steps, step, lambda: (nothing, state.inner_state))
        total = jax.tree.map(lambda s: jnp.where(steps, 0, s), total)
        return new, AccumulationState(count, total, inner_state)

    return GradientTransformation(init, update)


def at_steps(rate: ScalarOrSchedule, every: int) -> ScalarOrSchedule:
    """Return the schedule of steps that reads a schedule of calls where they step."""
    if not callable(rate):
        return rate
    return lambda step: rate((step + 1) * every - 1)


def _zeros(p: jax.Array) -> jax.Array:
    return zeros(p, dtype=compute_dtype(p.dtype))


def _mean(every: int, g: Any, total: PyTree) -> Any:
    return total / every if is_differentiable(g) else g
