"""Look at the updates as they pass."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.types import DTypeLike, OptState, Params, PyTree, Scalar, Updates
from gradtx.core import order
from gradtx.core.slots import made_of
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    init_empty_state,
    transformation,
    with_extra_args_support,
)
from gradtx.primitives.momentum import ema
from gradtx.wrappers.step import typed_like

Measure = Callable[[Updates], PyTree]


class SnapshotState(NamedTuple):
    """What :func:`snapshot` remembers: what was last measured, by its name."""

    measurement: dict[str, PyTree]


class MonitorState(NamedTuple):
    """What :func:`monitor` remembers."""

    measurements: dict[str, PyTree]  # what was last measured, by name
    measure_states: tuple[OptState, ...]


@order.keeps("update")
@transformation
def snapshot(measure_name: str, measure: Measure) -> GradientTransformation:
    """Record a measure of the updates, and pass them on as they are.

    ``gradtx.tree.get(state, measure_name)`` reads it. Before the first step it is what
    the measure says of the parameters.

    Args:
      measure_name: its name in the state.
      measure: from the tree of updates at this place of a chain to a tree of numbers.

    Example:
      >>> tx = gradtx.snapshot("norm", gradtx.global_norm)
      >>> updates, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.ones(2)))
      >>> print(gradtx.tree.get(state, "norm"))
      5.0
    """
    line = monitor({measure_name: measure})

    def init(params: Params) -> SnapshotState:
        return SnapshotState(line.init(params).measurements)

    def update(
        updates: Updates,
        state: SnapshotState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, SnapshotState]:
        old = MonitorState(state.measurement, (EmptyState(),))
        updates, new = line.update(updates, old, params, **extra)
        return updates, SnapshotState(new.measurements)

    return GradientTransformation(init, update)


@order.keeps("update")
@transformation
def monitor(
    measures: Mapping[str, Measure | GradientTransformation],
) -> GradientTransformation:
    """Record several measures of the updates, and pass them on as they are.

    Before the first step they are what the measures say of the parameters.

    Args:
      measures: by name, functions from the tree of updates to a tree of numbers, or
        transformations that make such trees of the updates and keep a state, such as
        :func:`measure_with_ema`.

    Example:
      >>> tx = gradtx.monitor({"norm": gradtx.global_norm})
      >>> updates, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.ones(2)))
      >>> print(gradtx.tree.get(state, "norm"))
      5.0
    """
    lines = {name: _line(measure) for name, measure in measures.items()}

    def measured(
        updates: Updates,
        states: tuple[OptState, ...],
        params: Params | None,
        extra: dict[str, Any],
    ) -> tuple[dict[str, PyTree], tuple[OptState, ...]]:
        found, new_states = {}, []
        for (name, tx), state in zip(lines.items(), states, strict=True):
            found[name], new = tx.update(updates, state, params, **extra)
            new_states.append(new)
        return jax.tree.map(jnp.asarray, found), tuple(new_states)

    def init(params: Params) -> MonitorState:
        states = tuple(tx.init(params) for tx in lines.values())
        found = made_of(lambda p, s: measured(p, s, p, {})[0], params, states)
        return MonitorState(found, states)

    def update(
        updates: Updates,
        state: MonitorState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, MonitorState]:
        found, states = measured(updates, state.measure_states, params, extra)
        return updates, MonitorState(typed_like(state.measurements, found), states)

    return GradientTransformation(init, update)


@transformation
def measure_with_ema(
    measure: Measure,
    decay: Scalar,
    debias: bool = True,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Measure something about the updates, and take its exponential running mean.

    The mean takes the place of the updates: it is meant for :func:`monitor`.

    Args:
      measure: from the tree of updates to a tree of numbers.
      decay: how much of the mean is kept at each step.
      debias: whether to make up for the start at zero.
      accumulator_dtype: the type to keep the mean in; that of the measurement if None.

    Raises:
      ValueError: if ``decay`` is outside [0, 1).

    Example:
      >>> tx = gradtx.measure_with_ema(gradtx.global_norm, 0.9)
      >>> norm, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.ones(2)))
      >>> print(norm.round(3))
      5.0
    """
    mean = ema(decay, debias, accumulator_dtype)

    def init(params: Params) -> OptState:
        found = made_of(lambda params: _floats(measure(params)), params)
        return EmptyState(), mean.init(found)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        del params
        found, new = mean.update(_floats(measure(updates)), state[1])
        return found, (EmptyState(), new)

    return GradientTransformation(init, update)


def _line(measure: Any) -> GradientTransformation:
    if not callable(measure):
        return with_extra_args_support(measure)
    return GradientTransformation(
        init_empty_state,
        lambda updates, state, params=None, **_: (measure(updates), state),  # noqa: ARG005
    )


def _floats(tree: PyTree) -> PyTree:
    """Return whole numbers and flags as floats, for a mean of them."""

    def one(x: Any) -> jax.Array:
        x = jnp.asarray(x)
        return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32)

    return jax.tree.map(one, tree)
