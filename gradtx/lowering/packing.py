"""Small leaves laid end to end, so that many of them cost what one does."""

from collections import defaultdict
from typing import Any

import jax
import jax.numpy as jnp

SMALL = 2**16
"""How many entries an array that is not small has at least: reading one takes a GPU
longer than starting a kernel does."""


def end_to_end(arrays: list[jax.Array]) -> list[jax.Array]:
    """Return a vector for each type of small arrays, and the others as they are.

    For what does not depend on where an entry lies, such as a sum over all.
    """
    kept, small = [], defaultdict(list)
    for x in arrays:
        if x.size < SMALL and not is_spread(x):
            small[x.dtype].append(x)
        else:
            kept.append(x)
    return kept + [
        jnp.concatenate([jnp.ravel(x) for x in some]) if len(some) > 1 else some[0]
        for some in small.values()
    ]


def is_spread(x: Any) -> bool:
    """Whether an array is sharded by its type; of one to come, its shape tells."""
    if isinstance(x, jax.ShapeDtypeStruct):
        sharding = x.sharding if _is_explicit(x.sharding) else None
    else:
        sharding = getattr(jax.typeof(x), "sharding", None)
    return sharding is not None and any(part is not None for part in sharding.spec)


def _is_explicit(sharding: Any) -> bool:
    """Whether a layout is part of the type of an array."""
    named = isinstance(sharding, jax.sharding.NamedSharding)
    return named and sharding.mesh.are_all_axes_explicit
