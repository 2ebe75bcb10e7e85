"""Keep bad numbers out of the updates."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx.common.leaves import map_differentiable
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import make_slot
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with


class ZeroNansState(NamedTuple):
    """What :func:`zero_nans` reports."""

    found_nan: PyTree  # for every leaf, whether its last update held a NaN


@transformation
def zero_nans() -> GradientTransformation:
    """Replace every NaN in the updates by 0, and say in the state where there were any.

    The state is a tree of booleans, one for each leaf, about the last update alone.

    Example:
      >>> tx = gradtx.zero_nans()
      >>> updates, state = tx.update(jnp.array([2.0, jnp.nan]), tx.init(jnp.ones(2)))
      >>> print(updates)
      [2. 0.]
    """
    clean = leafwise(lambda g: jnp.where(jnp.isnan(g), 0, g), EmptyState)

    def init(params: Params) -> OptState:
        false = zero_count(params) > 0
        flags = make_slot(lambda p: varied_with(p, jnp.array(false)), params)
        return ZeroNansState(flags)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        found = map_differentiable(
            lambda g, _: jnp.any(jnp.isnan(g)),
            updates,
            state.found_nan,
            otherwise=lambda _, old: None if old is None else jnp.zeros_like(old),
        )
        updates, _empty = clean.update(updates, EmptyState(), params)
        return updates, ZeroNansState(found)

    return GradientTransformation(init, update)
