"""Running means of the mean and the variance of the examples' gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, foreign, numerics
from gradtx.common.types import (
    Count,
    OptState,
    Params,
    Scalar,
    SecondMoment,
    Static,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import make_slot, squares, wide_zeros
from gradtx.core.transformation import GradientTransformation, identity, transformation
from gradtx.experimental.aggregating.aggregator import aggregation
from gradtx.experimental.aggregating.moments import (
    get_per_element_mean_and_sum_sq_diff_grads,
)
from gradtx.experimental.aggregating.process import process
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.wrappers.chain import chain


class PerElementMeanAndVarianceEMAState(NamedTuple):
    """What :func:`track_per_element_mean_and_variance_with_ema` remembers."""

    count: Count
    ema_decay: jax.Array  # β, kept to make the means unbiased
    mean_grads_ema: Updates
    variance_grads_ema: SecondMoment  # real


class _Running(NamedTuple):
    mean: Updates


@transformation
def track_per_element_mean_and_variance_with_ema(
    ema_decay: Scalar = 0.9,
) -> GradientTransformation:
    """Remember running means of the gradient and of its variance; change nothing.

        μ ← β μ + (1 - β) m
        ν ← β ν + (1 - β) s / (n - 1)

    for the mean m of n examples and the sum s of their squared distances from it, which
    :func:`get_per_element_mean_and_sum_sq_diff_grads` gives within :func:`process`.
    Both are kept in at least float32; :func:`get_unbiased_mean_and_variance_ema` reads
    them.

    Args:
      ema_decay: β, in [0, 1): how much of the means is kept at each step.

    Raises:
      ValueError: if β is outside [0, 1); from ``update``, if s or n is not given, or n
        is 1, of which there is no variance.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> tx = aggregating.track_per_element_mean_and_variance_with_ema()
      >>> state = tx.init(jnp.ones(1))
      >>> _, state = tx.update(
      ...     jnp.ones(1), state, sum_sq_diff_grads=jnp.ones(1), sample_size=2
      ... )
      >>> mean, variance = aggregating.get_unbiased_mean_and_variance_ema(state)
      >>> print(mean)
      [0.9999999]
    """
    checks.decay_rates(ema_decay=ema_decay)
    running = leafwise(
        lambda g, mean: (g, numerics.ema(mean, g, ema_decay)), _Running, mean=wide_zeros
    )

    def init(params: Params) -> PerElementMeanAndVarianceEMAState:
        return PerElementMeanAndVarianceEMAState(
            zero_count(params),
            replicated_like(params, ema_decay, jnp.result_type(float)),
            running.init(params).mean,
            make_slot(squares, params),
        )

    def update(
        updates: Updates,
        state: PerElementMeanAndVarianceEMAState,
        params: Params | None = None,
        *,
        sum_sq_diff_grads: Updates = None,
        sample_size: Any = None,
        **_: Any,
    ) -> tuple[Updates, PerElementMeanAndVarianceEMAState]:
        del params
        checks.require_extra_arg("sum_sq_diff_grads", sum_sq_diff_grads)
        checks.require_extra_arg("sample_size", sample_size)
        variance = _variance(sum_sq_diff_grads, sample_size)
        _, mean = running.update(updates, _Running(state.mean_grads_ema))
        _, spread = running.update(variance, _Running(state.variance_grads_ema))
        return updates, PerElementMeanAndVarianceEMAState(
            numerics.safe_increment(state.count),
            jnp.asarray(ema_decay).astype(state.ema_decay.dtype),
            mean.mean,
            spread.mean,
        )

    return GradientTransformation(init, update)


def _variance(scatter: Updates, n: Any) -> Updates:
    if isinstance(n, int) and n == 1:
        raise checks.InvalidArgument(
            "one example has no variance: take the gradients of more examples, or "
            "accumulate several steps"
        )
    return jax.tree.map(lambda s: s / jnp.asarray(n - 1).astype(s.dtype), scatter)


def get_unbiased_mean_and_variance_ema(state: OptState) -> tuple[Updates, Updates]:
    """Return the running means of the gradient and of its variance, made unbiased.

        μ / (1 - βᵗ),  ν / (1 - βᵗ)              0 before the first step

    Args:
      state: any state with one :class:`PerElementMeanAndVarianceEMAState` within.

    Raises:
      ValueError: if there is none, or more than one.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(0.1))
      >>> _, state = tx.update(
      ...     jnp.array([[1.0], [3.0]]), tx.init(jnp.ones(1)), jnp.ones(1)
      ... )
      >>> mean, variance = aggregating.get_unbiased_mean_and_variance_ema(state)
      >>> print(mean.round(3))
      [2.]
    """
    found = [x for x in jax.tree.leaves(state, is_leaf=_is_tracked) if _is_tracked(x)]
    if len(found) != 1:
        raise checks.InvalidArgument(
            "get_unbiased_mean_and_variance_ema: the state must hold one "
            f"PerElementMeanAndVarianceEMAState, got {len(found)}"
        )
    (tracked,) = found

    def unbiased(x: jax.Array) -> jax.Array:
        known = numerics.one_minus_power(
            tracked.ema_decay, tracked.count, numerics.real_dtype(x.dtype)
        )
        return numerics.safe_divide(x, known)

    return (
        jax.tree.map(unbiased, tracked.mean_grads_ema),
        jax.tree.map(unbiased, tracked.variance_grads_ema),
    )


def _is_tracked(x: Any) -> bool:
    """Whether this is such a state, ours or optax's."""
    name = PerElementMeanAndVarianceEMAState.__name__
    return isinstance(x, PerElementMeanAndVarianceEMAState) or foreign.is_instance(
        x, "optax.experimental._aggregating", name
    )


@aggregation
def add_mean_variance_to_opt(
    opt: GradientTransformation,
    ema_decay: Scalar = 0.9,
    per_elt_axis: Static = 0,
    accumulation_steps: int = 1,
) -> GradientTransformation:
    """Let an optimizer run on the gradients of examples, and remember how they vary.

    It takes steps with their mean, as it would alone.
    :func:`get_unbiased_mean_and_variance_ema` reads from the state the running mean
    and variance of the gradient of one example.

    Args:
      opt: any transformation.
      ema_decay: β of :func:`track_per_element_mean_and_variance_with_ema`.
      per_elt_axis: the axis of the examples in every leaf, or several.
      accumulation_steps: how many batches to take together for one step.

    Raises:
      ValueError: for what the parts refuse.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(0.1))
      >>> updates, _ = tx.update(
      ...     jnp.array([[1.0], [3.0]]), tx.init(jnp.ones(1)), jnp.ones(1)
      ... )
      >>> print(updates)
      [-0.2]
    """
    moments = get_per_element_mean_and_sum_sq_diff_grads(
        per_elt_axis, accumulation_steps
    )
    tracked = track_per_element_mean_and_variance_with_ema(ema_decay)
    return process(identity(), moments, chain(tracked, opt), aggregator_has_aux=True)
