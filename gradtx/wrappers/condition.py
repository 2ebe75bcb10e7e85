"""Transform only when a condition holds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import checks, numerics
from gradtx.common.types import AxisName, Count, OptState, Params, Updates
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.primitives.scale import zeros_for
from gradtx.wrappers.skip import count_not_finite
from gradtx.wrappers.step import as_updates, run_if

ConditionFn = Callable[..., Any]


class ConditionallyTransformState(NamedTuple):
    """What :func:`conditionally_transform` remembers."""

    inner_state: OptState
    step: Count


class ConditionallyMaskState(NamedTuple):
    """What :func:`conditionally_mask` remembers."""

    step: Count
    inner_state: OptState


class ApplyIfFiniteState(NamedTuple):
    """What :func:`apply_if_finite` remembers."""

    notfinite_count: Count  # bad gradients in a row, up to now
    last_finite: Any  # whether the last gradient was good
    total_notfinite: Count  # bad gradients in all
    inner_state: OptState


@transformation
def conditionally_transform(
    inner: GradientTransformation,
    should_transform_fn: ConditionFn,
    forward_extra_args: bool = False,
) -> GradientTransformation:
    """Apply ``inner`` in some steps, and pass the updates on as they are in others.

    Args:
      inner: any transformation; it runs only when the condition holds, and its state
        is unchanged otherwise.
      should_transform_fn: from the number of steps taken to a boolean. Under ``jit``
        both are traced; outside of it the function is called at every step with the
        number as it is, and may branch on it.
      forward_extra_args: whether it is given the extra arguments of ``update`` too.

    Example:
      >>> tx, params = (
      ...     gradtx.conditionally_transform(gradtx.sgd(0.1), lambda step: step > 0),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    return _conditionally(
        inner,
        should_transform_fn,
        forward_extra_args,
        ConditionallyTransformState,
        mask=False,
    )


@transformation
def conditionally_mask(
    inner: GradientTransformation,
    should_transform_fn: ConditionFn,
    forward_extra_args: bool = False,
) -> GradientTransformation:
    """Apply ``inner`` in some steps, and make the updates zero in others.

    Args:
      inner: any transformation; it runs only when the condition holds, and its state
        is unchanged otherwise.
      should_transform_fn: from the number of steps taken to a boolean. Under ``jit``
        both are traced; outside of it the function is called at every step with the
        number as it is, and may branch on it.
      forward_extra_args: whether it is given the extra arguments of ``update`` too.

    Example:
      >>> tx, params = (
      ...     gradtx.conditionally_mask(gradtx.sgd(0.1), lambda step: step > 0),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [0. 0.]
    """
    return _conditionally(
        inner,
        should_transform_fn,
        forward_extra_args,
        ConditionallyMaskState,
        mask=True,
    )


def _conditionally(
    inner: GradientTransformation,
    should_transform_fn: ConditionFn,
    forward_extra_args: bool,
    state_type: Any,
    *,
    mask: bool,
) -> GradientTransformation:
    """Apply ``inner`` when the condition holds; if not, mask or pass the updates on."""
    run = _if_wanted(inner, mask=mask)

    def init(params: Params) -> Any:
        return state_type(inner_state=inner.init(params), step=zero_count(params))

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        wanted = _wanted(should_transform_fn, state.step, extra, forward_extra_args)
        answered = _Answered(wanted, state)
        new, (_, state) = run.update(updates, answered, params, **extra)
        return new, state

    return GradientTransformation(init, update)


class _Answered(NamedTuple):
    """A state, and what the user's function returned for this step."""

    wanted: jax.Array
    state: Any


@transformation
def _if_wanted(inner: GradientTransformation, *, mask: bool) -> GradientTransformation:
    """Apply ``inner`` where the state says so: what is left without the condition."""
    inner = with_extra_args_support(inner)
    otherwise = zeros_for if mask else as_updates

    def update(
        updates: Updates, state: _Answered, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, _Answered]:
        wanted, now = state
        new, inner_state = run_if(
            wanted,
            inner,
            updates,
            now.inner_state,
            params,
            extra,
            otherwise=otherwise(updates, params),
            zero=mask,
        )
        step = numerics.safe_increment(now.step)
        now = now._replace(inner_state=inner_state, step=step)
        return new, _Answered(wanted, now)

    return GradientTransformation(inner.init, update)


@transformation
def apply_if_finite(
    inner: GradientTransformation,
    max_consecutive_errors: int,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Leave out the steps whose gradients hold infinities or NaN.

    Such a step has updates of zero and leaves the state of ``inner`` as it is. After
    too many of them in a row the gradients are taken as they come, so that the trouble
    shows; a good gradient begins the count anew. Costs one more reading of the
    gradient.

    Args:
      inner: any transformation.
      max_consecutive_errors: how many bad gradients in a row are left out.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if the number is negative.

    Example:
      >>> tx, params = gradtx.apply_if_finite(gradtx.sgd(0.1), 3), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.non_negative(max_consecutive_errors=max_consecutive_errors)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> ApplyIfFiniteState:
        none = zero_count(params)
        state = ApplyIfFiniteState(
            zero_count(params), none == 0, zero_count(params), inner.init(params)
        )
        # Which steps are left out hangs on all.
        return varied_with(params, state, axis_name)

    def update(
        updates: Updates,
        state: ApplyIfFiniteState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ApplyIfFiniteState]:
        finite = count_not_finite(updates, axis_name) == 0
        in_a_row = numerics.safe_increment(state.notfinite_count)
        in_a_row = jnp.where(finite, 0, in_a_row)
        new, inner_state = run_if(
            finite | (in_a_row > max_consecutive_errors),
            inner,
            updates,
            state.inner_state,
            params,
            extra,
            otherwise=zeros_for(updates, params),
            zero=True,
        )
        total = numerics.safe_increment(state.total_notfinite)
        total = jnp.where(finite, state.total_notfinite, total)
        return new, ApplyIfFiniteState(in_a_row, finite, total, inner_state)

    return GradientTransformation(init, update)


def _wanted(
    condition: ConditionFn, step: Count, extra: dict[str, Any], forward: bool
) -> Any:
    wanted = condition(step, **(extra if forward else {}))
    wanted = wanted if isinstance(wanted, jax.Array) else np.asarray(wanted)
    if wanted.shape != ():
        raise checks.InvalidArgument(
            f"should_transform_fn must return one boolean, got shape {wanted.shape}"
        )
    return wanted if wanted.dtype == bool else wanted.astype(bool)
