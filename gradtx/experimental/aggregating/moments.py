"""The mean and the scatter of the gradients of all examples."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.leaves import gradients
from gradtx.common.types import Count, OptState, Params, SecondMoment, Static, Updates
from gradtx.core.leafwise import leafwise, to_compute_dtype
from gradtx.core.slots import squares, wide_zeros
from gradtx.core.transformation import EmptyState, GradientTransformation
from gradtx.experimental.aggregating.aggregator import (
    aggregation,
    axes_of,
    get_batch_size_from_per_elt_updates,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.wrappers.step import as_updates


class PerElementMeanAndSumSqDiffGradsState(NamedTuple):
    """What :func:`get_per_element_mean_and_sum_sq_diff_grads` remembers.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> tx = aggregating.get_per_element_mean_and_sum_sq_diff_grads(0, 2)
      >>> print(tx.init(jnp.ones(1)).mean_grads)
      [0.]
    """

    micro_step: Count  # batches in the sums
    ready: jax.Array  # whether the last step gave a mean
    mean_grads: Updates
    sum_sq_diff_grads: SecondMoment  # Σ |g - mean|², real


@aggregation
def get_per_element_mean_and_sum_sq_diff_grads(
    per_elt_axis: Static = 0, accumulation_steps: int = 1
) -> GradientTransformation:
    """Take the mean over the examples, and how far they scatter about it.

        m = mean of g over the n examples of a batch,   s = Σ |g - m|²
        M ← M + (m - M) / i                             i = 1 … k
        S ← S + s + |m - M|² n (i - 1) / i              with the M of before

    The update is a pair: M, and a dictionary of S (``sum_sq_diff_grads``) and of the
    number of examples k·n (``sample_size``), which are zero but at the k-th step. It is
    made for :func:`process` with ``aggregator_has_aux``. Both are kept in at least
    float32, and no difference of large squares is taken.

    Args:
      per_elt_axis: the axis of the examples in every leaf, or several.
      accumulation_steps: k, the number of batches to take together.

    Raises:
      ValueError: if k is not at least 1; from ``update``, if the leaves do not share
        the number of examples.

    Reference: Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm for
      computing sample variances, Stanford STAN-CS-79-773, 1979.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> tx = aggregating.get_per_element_mean_and_sum_sq_diff_grads()
      >>> (mean, more), _ = tx.update(jnp.array([[1.0], [3.0]]), tx.init(jnp.ones(1)))
      >>> print(mean, more["sum_sq_diff_grads"])
      [2.] [2.]
    """
    checks.positive_int(accumulation_steps=accumulation_steps)
    axes, k = axes_of(per_elt_axis), accumulation_steps
    join = leafwise(
        _rule,
        _Sums,
        mean_grads=wide_zeros,
        sum_sq_diff_grads=squares,
        scatter=squares,
    )

    def init(params: Params) -> OptState:
        if k == 1:
            return EmptyState()
        zeros = join.init(params)
        return PerElementMeanAndSumSqDiffGradsState(
            zero_count(params), replicated_like(params, value=False), *zeros[:2]
        )

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[tuple[Updates, dict[str, Any]], OptState]:
        updates = gradients(updates)
        n = get_batch_size_from_per_elt_updates(updates, axes)
        mean = jax.tree.map(partial(_mean, axes), updates)
        scatter = jax.tree.map(partial(_scatter, axes), updates)
        size = n * k
        if k > 1:
            i = state.micro_step + 1
            ready = i >= k
            old = _Sums(state.mean_grads, state.sum_sq_diff_grads, scatter)
            mean, new = join.update(mean, old, n=n, i=i, ready=ready)
            scatter, size = new.scatter, jnp.where(ready, jnp.int32(size), 0)
            state = type(state)(jnp.where(ready, 0, i), ready, *new[:2])
        aux = {"sum_sq_diff_grads": scatter, "sample_size": size}
        typed = jax.tree.map(lambda m, g: m.astype(jnp.result_type(g)), mean, updates)
        return (as_updates(typed, params), aux), state

    return GradientTransformation(init, update)


class _Sums(NamedTuple):
    mean_grads: Updates
    sum_sq_diff_grads: SecondMoment
    scatter: Updates  # of the batch when it comes in, of all when it is given out


def _rule(
    g: jax.Array,
    mean: jax.Array,
    total: jax.Array,
    scatter: jax.Array,
    *,
    n: int,
    i: Count,
    ready: jax.Array,
) -> tuple[jax.Array, ...]:
    part = 1 / i.astype(total.dtype)
    change = g - mean
    mean = mean + change * part
    total = total + scatter + numerics.square(change) * (n * (1 - part))
    return (
        jnp.where(ready, mean, 0),
        jnp.where(ready, 0, mean),
        jnp.where(ready, 0, total),
        jnp.where(ready, total, 0),
    )


def _mean(axes: tuple[int, ...], g: Any, *, keepdims: bool = False) -> jax.Array:
    return jnp.mean(to_compute_dtype(jnp.asarray(g)), axis=axes, keepdims=keepdims)


def _scatter(axes: tuple[int, ...], g: Any) -> jax.Array:
    change = to_compute_dtype(jnp.asarray(g)) - _mean(axes, g, keepdims=True)
    return jnp.sum(numerics.square(change), axis=axes)
