"""Keep bad numbers out of the updates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.leaves import map_differentiable
from gradtx.common.types import AxisName, OptState, Params, PyTree, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import holds_anywhere
from gradtx.core.slots import make_slot
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.collective import shared_along
from gradtx.lowering.sharding import zero_count


class ZeroNansState(NamedTuple):
    """What :func:`zero_nans` reports."""

    found_nan: PyTree  # for every leaf, whether its last update held a NaN


@transformation
def zero_nans(*, axis_name: AxisName = None) -> GradientTransformation:
    """Replace every NaN in the updates by 0, and say in the state where there were any.

    The state is a tree of booleans, one for each leaf, about the last update alone.

    Args:
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over all of
        whose devices a leaf in parts is looked at. None: what this device holds.

    Raises:
      ValueError: from ``update`` for an axis that is not there.

    Example:
      >>> tx = gradtx.zero_nans()
      >>> updates, state = tx.update(jnp.array([2.0, jnp.nan]), tx.init(jnp.ones(2)))
      >>> print(updates)
      [2. 0.]
    """
    clean = leafwise(lambda g: jnp.where(jnp.isnan(g), 0, g), EmptyState)

    def init(params: Params) -> OptState:
        zero = zero_count(params)
        counts = shared_along(make_slot(lambda _: zero, params), axis_name)
        return ZeroNansState(jax.tree.map(lambda count: count > 0, counts))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        found = map_differentiable(
            lambda g, _: holds_anywhere(jnp.any(jnp.isnan(g)), axis_name),
            updates,
            state.found_nan,
            otherwise=lambda _, old: None if old is None else jnp.zeros_like(old),
        )
        updates, _empty = clean.update(updates, EmptyState(), params)
        return updates, ZeroNansState(found)

    return GradientTransformation(init, update)
