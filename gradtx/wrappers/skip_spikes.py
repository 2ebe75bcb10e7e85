"""Leave out the steps whose loss or gradient is an outlier."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import AxisName, Count, OptState, Params, Scalar, Updates
from gradtx.core.reductions import shared_scalar
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.primitives.history import put
from gradtx.primitives.scale import zeros_for
from gradtx.tree import norms
from gradtx.wrappers.step import run_if


class SkipSpikesState(NamedTuple):
    """What :func:`skip_spikes` remembers, and what it left out."""

    count: Count  # steps so far, those left out among them
    values: jax.Array  # the last losses, the newest at (seen - 1) % window
    norms: jax.Array  # the last norms of the gradients, in the same order
    seen: Count  # finite losses and norms so far
    skipped: Count  # steps left out so far
    last_skipped: Count  # the step last left out, counted from 1; 0 if none was
    inner_state: OptState


@transformation
def skip_spikes(
    inner: GradientTransformation,
    window: int = 128,
    sigma: Scalar = 6.0,
    *,
    min_steps: int | None = None,
    two_sided: bool = True,
    ddof: int = 1,
    min_std: Scalar = 0.0,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Leave out a step whose loss or gradient norm is far from those before.

        μ, s: mean and standard deviation of the last w losses (of the last w norms)
        a spike: |x - μ| > σ s            for the loss or for the norm

    Such a step has updates of zero and leaves the state of ``inner`` as it is; its loss
    and its norm count among the next steps' last w. Give ``update`` the loss as the
    extra argument ``value``. A loss or norm that is infinite or NaN is a spike always,
    and does not count.

    The defaults are those of OLMo; levanter's are ``window=129, min_steps=64,
    two_sided=False, ddof=0, min_std=1e-6``. ``gradtx.tree.get(state, "skipped")`` tells
    how many steps were left out, ``"last_skipped"`` which was the last.

    Args:
      inner: any transformation.
      window: w, at least 2.
      sigma: σ, above 0: how many deviations make a spike.
      min_steps: how many steps must have come before one is left out, at least 2;
        max(20, w // 2) - 1 if None, or all w where that is less.
      two_sided: whether a loss or norm far below the others is a spike too.
      ddof: 1 for the deviation of a sample, divided by w - 1; 0 for the plain one.
      min_std: at least 0, what a smaller deviation is raised to.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a number is outside its range; from ``update``, if it is given no
        ``value``.

    Reference: OLMo Team, 2024, https://arxiv.org/abs/2501.00656 (section 3); Allen
      Institute for AI, https://github.com/allenai/OLMo-core (SkipStepOptimizer)

    Example:
      >>> tx, params = gradtx.skip_spikes(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [-0.1 -0.1]
    """
    checks.positive(sigma=sigma)
    checks.non_negative(min_std=min_std)
    enough = min(max(20, window // 2) - 1, window) if min_steps is None else min_steps
    checks.at_least(2, window=window, min_steps=enough)
    if ddof not in (0, 1):
        raise checks.InvalidArgument(f"ddof must be 0 or 1, got {ddof!r}")
    inner = with_extra_args_support(inner)

    def is_spike(x: jax.Array, kept: jax.Array, seen: Count) -> jax.Array:
        mean, std = _statistics(kept, jnp.minimum(seen, window), ddof)
        above = x - mean
        apart = jnp.abs(above) if two_sided else above
        return apart > sigma * jnp.maximum(std, min_std)

    def init(params: Params) -> SkipSpikesState:
        inner_state = inner.init(params)
        state = SkipSpikesState(
            count=zero_count(params),
            values=shared_scalar(params, jnp.zeros(window), axis_name),
            norms=shared_scalar(params, jnp.zeros(window), axis_name),
            seen=zero_count(params),
            skipped=zero_count(params),
            last_skipped=zero_count(params),
            inner_state=inner_state,
        )
        # Which steps are left out hangs on all leaves; how many there were does not.
        varied = varied_with(params, state, axis_name)
        return varied._replace(count=state.count)

    def update(
        updates: Updates,
        state: SkipSpikesState,
        params: Params | None = None,
        *,
        value: Any = None,
        **extra: Any,
    ) -> tuple[Updates, SkipSpikesState]:
        checks.require_extra_arg("value", value)
        loss = jnp.asarray(value, state.values.dtype)
        length = norms.norm(updates, axis_name=axis_name).astype(state.norms.dtype)
        finite = jnp.isfinite(loss) & jnp.isfinite(length)
        spike = is_spike(loss, state.values, state.seen)
        spike |= is_spike(length, state.norms, state.seen)
        skip = ~finite | (spike & (state.seen >= enough))
        new, inner_state = run_if(
            ~skip,
            inner,
            updates,
            state.inner_state,
            params,
            {"value": value, **extra},
            otherwise=zeros_for(updates, params),
            zero=True,
        )
        count = numerics.safe_increment(state.count)
        place = state.seen % window
        return new, SkipSpikesState(
            count=count,
            values=jnp.where(finite, put(state.values, loss, place), state.values),
            norms=jnp.where(finite, put(state.norms, length, place), state.norms),
            seen=_counted(state.seen, finite),
            skipped=_counted(state.skipped, skip),
            last_skipped=jnp.where(skip, count, state.last_skipped),
            inner_state=inner_state,
        )

    return GradientTransformation(init, update)


def _statistics(kept: jax.Array, many: Count, ddof: int) -> tuple[jax.Array, jax.Array]:
    """Return the mean and the standard deviation of the first ``many`` entries."""
    there = jnp.arange(kept.size) < many
    number = many.astype(kept.dtype)
    mean = jnp.sum(kept, where=there) / jnp.maximum(number, 1)
    # Relative to the largest, as squares may overflow.
    apart = jnp.where(there, kept - mean, 0)
    std = norms.norm(apart) / jnp.sqrt(jnp.maximum(number - ddof, 1))
    return mean, std


def _counted(count: Count, flag: jax.Array) -> jax.Array:
    return jnp.where(flag, numerics.safe_increment(count), count)
