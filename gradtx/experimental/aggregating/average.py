"""Means over the examples, and over several steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.leaves import gradients
from gradtx.common.types import Count, OptState, Params, Static, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import wide_zeros
from gradtx.core.transformation import (
    GradientTransformation,
    identity,
    init_empty_state,
    transformation,
)
from gradtx.experimental.aggregating.aggregator import (
    aggregation,
    axes_of,
    fitting,
    get_batch_size_from_per_elt_updates,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.wrappers.chain import chain
from gradtx.wrappers.step import as_updates


@aggregation
def average_per_element_updates(per_elt_axis: Static = 0) -> GradientTransformation:
    """Take the mean over the examples.

    Args:
      per_elt_axis: the axis of the examples in every leaf, or several.

    Raises:
      ValueError: from ``update``, if the leaves do not share the number of examples.

    Example:
      >>> tx = gradtx.experimental.aggregating.average_per_element_updates()
      >>> updates, _ = tx.update(jnp.array([[1.0], [3.0]]), tx.init(jnp.ones(1)))
      >>> print(updates)
      [2.]
    """
    axes = axes_of(per_elt_axis)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        updates = gradients(updates)
        if jax.tree.leaves(updates):
            get_batch_size_from_per_elt_updates(updates, axes)
        return as_updates(jax.tree.map(mean, updates), params), state

    def mean(g: Any) -> jax.Array:
        g = jnp.asarray(g)
        return jnp.mean(g, axis=axes, dtype=numerics.compute_dtype(g.dtype)).astype(
            g.dtype
        )

    return GradientTransformation(init_empty_state, update)


class AccumulateAvgUpdatesState(NamedTuple):
    """What :func:`accumulate_avg_updates` remembers."""

    micro_step: Count  # gradients in the mean
    ready: jax.Array  # whether the last step gave a mean
    avg_grad: Updates


class _Mean(NamedTuple):
    avg_grad: Updates


@transformation
def accumulate_avg_updates(accumulation_steps: int) -> GradientTransformation:
    """Give the mean of every k gradients, and zero between.

        a ← a + (g - a) / i                  i = 1 … k
        u = a, a ← 0           at the k-th;  u = 0 at the others

    Within :func:`process`, what follows runs at the k-th only; alone in a ``chain`` it
    would take steps with zero. :func:`~gradtx.MultiSteps` does both at once. The mean
    is kept in at least float32.

    Args:
      accumulation_steps: k, a whole number of at least 1.

    Raises:
      ValueError: if k is not at least 1.

    Example:
      >>> tx = gradtx.experimental.aggregating.accumulate_avg_updates(2)
      >>> state = tx.init(jnp.ones(2))
      >>> for _ in range(2):
      ...     updates, state = tx.update(jnp.ones(2), state)
      >>> print(updates)
      [1. 1.]
    """
    checks.positive_int(accumulation_steps=accumulation_steps)

    def rule(
        g: jax.Array, a: jax.Array, *, i: Count, ready: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        a = a + (g - a) / i.astype(numerics.real_dtype(a.dtype))
        return jnp.where(ready, a, 0), jnp.where(ready, 0, a)

    add = leafwise(rule, _Mean, avg_grad=wide_zeros)

    def init(params: Params) -> AccumulateAvgUpdatesState:
        return AccumulateAvgUpdatesState(
            zero_count(params),
            replicated_like(params, value=False),
            add.init(params).avg_grad,
        )

    def update(
        updates: Updates,
        state: AccumulateAvgUpdatesState,
        params: Params | None = None,
        **_: Any,
    ) -> tuple[Updates, AccumulateAvgUpdatesState]:
        i = state.micro_step + 1
        ready = i >= accumulation_steps
        old = _Mean(state.avg_grad)
        u, new = add.update(updates, old, params, i=i, ready=ready)
        step = jnp.where(ready, 0, i)
        return u, AccumulateAvgUpdatesState(step, ready, new.avg_grad)

    return GradientTransformation(init, update)


@fitting
def average_incrementally_updates(
    per_elt_axis: Static, accumulation_steps: int
) -> GradientTransformation:
    """Take the mean over the examples, and then over several steps.

    :func:`average_per_element_updates` and :func:`accumulate_avg_updates`, where there
    is something to average.

    Args:
      per_elt_axis: the axis of the examples, or several; None for gradients that are
        means already, which makes a transformation and no aggregator.
      accumulation_steps: the number of steps, a whole number of at least 1; of 1 there
        is nothing to average.

    Raises:
      ValueError: if there is not at least one step.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> tx = aggregating.average_incrementally_updates(0, 1)
      >>> updates, _ = tx.update(jnp.array([[1.0], [3.0]]), tx.init(jnp.ones(1)))
      >>> print(updates)
      [2.]
    """
    checks.positive_int(accumulation_steps=accumulation_steps)
    one = accumulation_steps == 1
    over_steps = identity() if one else accumulate_avg_updates(accumulation_steps)
    if per_elt_axis is None:
        return over_steps
    return chain(average_per_element_updates(per_elt_axis), over_steps)
