"""Slots that keep the arrays of the last few steps."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.lax import dynamic_update_index_in_dim

from gradtx.common.types import Count, DTypeLike
from gradtx.lowering.sharding import sharded_like


def history(size: int, p: jax.Array, *, dtype: DTypeLike | None = None) -> jax.Array:
    """Make room for ``size`` arrays like the parameter, along a new first axis.

    They are sharded as the parameter is.
    """
    made = jnp.broadcast_to(jnp.zeros_like(p, dtype=dtype), (size, *p.shape))
    if isinstance(p, Tracer):
        return sharded_like(jnp.broadcast_to(p, made.shape), made)
    return made


def put(kept: jax.Array, x: jax.Array, place: Count) -> jax.Array:
    """Return the history with ``x`` in the place of what is there."""
    return dynamic_update_index_in_dim(kept, x.astype(kept.dtype), place, 0)
