"""Small leaves laid end to end, so that many of them cost what one does."""

from collections import defaultdict
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding

from gradtx.lowering.sharding import is_automatic

SMALL = 2**16
"""How many entries an array that is not small has at least: reading one takes a GPU
longer than starting a kernel does."""


def concatenate_small(arrays: list[jax.Array]) -> list[jax.Array]:
    """Return a vector for each type of small arrays, and the others as they are.

    For what does not depend on where an entry lies, such as a sum over all. An array
    that may be sharded is left alone: it would be gathered.
    """
    kept, small = [], defaultdict(list)
    for x in arrays:
        if x.size < SMALL and not (may_be_sharded(x) or _is_untold(x)):
            small[x.dtype].append(x)
        else:
            kept.append(x)
    return kept + [
        jnp.concatenate([jnp.ravel(x) for x in some]) if len(some) > 1 else some[0]
        for some in small.values()
    ]


def is_sharded(x: Any) -> bool:
    """Whether an array is sharded by its type, as it is on a mesh of explicit axes."""
    sharding = _sharding(x)
    if sharding is None:
        return False
    kinds = dict(zip(sharding.mesh.axis_names, sharding.mesh.axis_types, strict=True))
    parts = [part if isinstance(part, tuple) else (part,) for part in sharding.spec]
    return any(kinds.get(axis) is AxisType.Explicit for part in parts for axis in part)


def may_be_sharded(x: Any) -> bool:
    """Whether an array is sharded, or nothing says that it is not.

    Of an array on a mesh of automatic axes the type names the mesh, but not the layout,
    which the compiler chooses. An array on one device names no mesh.
    """
    sharding = _sharding(x)
    return sharding is not None and (is_automatic(sharding.mesh) or is_sharded(x))


def _is_untold(x: Any) -> bool:
    """Whether an array may be sharded by an option of ``jit``, which no type tells.

    So it is with ``in_shardings`` for arrays of NumPy, and for shapes.
    """
    mesh = getattr(getattr(jax.typeof(x), "sharding", None), "mesh", None)
    untold = isinstance(x, Tracer) and (mesh is None or mesh.empty)
    return untold and jax.device_count() > 1


def _sharding(x: Any) -> Any:
    if isinstance(x, jax.ShapeDtypeStruct):
        sharding = x.sharding
    else:
        sharding = getattr(jax.typeof(x), "sharding", None)
    return sharding if isinstance(sharding, NamedSharding) else None
