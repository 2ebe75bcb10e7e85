"""Lower the learning rate when a value stops falling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, OptState, Params, Scalar, Updates
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.wrappers.step import typed_like, widest


class ReduceLROnPlateauState(NamedTuple):
    """What :func:`reduce_on_plateau` remembers."""

    scale: Any  # what the updates are multiplied by
    best_value: Any
    plateau_count: Count  # means in a row that were no better
    cooldown_count: Count  # means for which it still rests
    count: Count  # values in the mean that is being taken
    avg_value: Any  # that mean, so far


@order.keeps("direction")
@transformation
def reduce_on_plateau(
    factor: Scalar = 0.1,
    patience: Scalar = 10,
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    cooldown: Scalar = 0,
    accumulation_size: Scalar = 1,
    min_scale: Scalar = 0.0,
) -> GradientTransformation:
    """Multiply the updates by a scale that falls when a value stops falling.

        better:   value < best - rtol |best| - atol
        scale ← max(scale · factor, min_scale)     after ``patience`` that were not

    Give ``update`` the extra argument ``value``, such as the loss; it may be negative.
    Within ``jax.shard_map`` give it the loss over all devices, and the state is the
    same on each; where devices are to differ, let the state vary, by ``jax.lax.pcast``,
    before a loop over steps.

    Args:
      factor: what the scale is multiplied by, in (0, 1).
      patience: how many values in a row may be no better, a whole number of at least 1.
      rtol: how much better a value must be, relative to the best, in [0, 1].
      atol: how much better it must be in absolute terms, at least 0; not 0 if ``rtol``
        is.
      cooldown: for how many values after a reduction none is counted, at least 0.
      accumulation_size: of how many values the mean is taken first, as of the losses of
        small batches.
      min_scale: the lower bound of the scale, at least 0.

    Raises:
      ValueError: if ``factor`` is outside (0, 1), ``rtol`` outside [0, 1], a number
        negative, a count below 1, or both tolerances 0; from ``update`` if it is given
        no ``value``.

    Example:
      >>> tx, params = gradtx.reduce_on_plateau(patience=1), jnp.ones(2)
      >>> state = tx.init(params)
      >>> for _ in range(4):
      ...     updates, state = tx.update(params, state, value=jnp.array(1.0))
      >>> print(gradtx.tree.get(state, "scale").round(3))
      0.001
    """
    checks.positive(factor=factor)
    checks.decay_rates(factor=factor)
    checks.unit_interval(rtol=rtol)
    checks.non_negative(atol=atol, cooldown=cooldown, min_scale=min_scale)
    checks.positive_int(patience=patience, accumulation_size=accumulation_size)
    checks.not_both_zero(rtol=rtol, atol=atol)
    multiply = leafwise(lambda g, *, scale: scale * g, EmptyState)

    def init(params: Params) -> ReduceLROnPlateauState:
        dtype = widest(params)
        return ReduceLROnPlateauState(
            scale=replicated_like(params, 1, dtype),
            best_value=replicated_like(params, jnp.inf, dtype),
            plateau_count=zero_count(params),
            cooldown_count=zero_count(params),
            count=zero_count(params),
            avg_value=replicated_like(params, 0, dtype),
        )

    def judged(state: ReduceLROnPlateauState) -> ReduceLROnPlateauState:
        """Return the state after the mean is complete."""
        best, mean = state.best_value, state.avg_value
        bar = jnp.where(jnp.isfinite(best), best - rtol * jnp.abs(best) - atol, best)
        better = mean < bar
        resting = state.cooldown_count > 0
        plateau = jnp.where(better | resting, 0, state.plateau_count + 1)
        reduce = plateau >= patience
        reduced = jnp.maximum(state.scale * factor, min_scale)
        rest = jnp.where(resting, state.cooldown_count - 1, 0)
        return ReduceLROnPlateauState(
            scale=jnp.where(reduce, reduced, state.scale),
            best_value=jnp.where(better, mean, best),
            plateau_count=jnp.where(reduce, 0, plateau),
            cooldown_count=jnp.where(reduce, cooldown, rest),
            count=jnp.zeros_like(state.count),
            avg_value=jnp.zeros_like(mean),
        )

    def update(
        updates: Updates,
        state: ReduceLROnPlateauState,
        params: Params | None = None,
        *,
        value: Any = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        _value_given(value)
        count = state.count + 1
        old = jnp.asarray(state.avg_value)
        mean = old + (jnp.asarray(value, old.dtype) - old) / count
        state = typed_like(state, state._replace(count=count, avg_value=mean))
        complete = count >= accumulation_size
        state = jax.tree.map(
            lambda new, old: jnp.where(complete, new, old).astype(old.dtype),
            judged(state),
            state,
        )
        new, _empty = multiply.update(updates, EmptyState(), params, scale=state.scale)
        return new, state

    return GradientTransformation(init, update)


def _value_given(value: Any) -> None:
    if value is None:
        raise checks.InvalidArgument(
            "update needs the extra argument 'value', the metric to minimize: "
            "call update(updates, state, params, value=...)"
        )
    if jnp.shape(value) != ():
        raise checks.InvalidArgument(
            f"value must be one number, got shape {jnp.shape(value)}"
        )
