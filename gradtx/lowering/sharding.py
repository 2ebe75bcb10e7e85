"""Sharding of state: where arrays that depend on no data are placed."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gradtx.common.types import Count, DTypeLike, Params
from gradtx.lowering.varying import is_manual, varied, varying_axes


def placed_like(p: jax.Array, slot: jax.Array) -> jax.Array:
    """Keep the parameter's layout, which jit would forget: zeros depend on nothing.

    A slot of another shape that lies on one device is put on all of the parameter's.
    One of NumPy, which stands for what a parameter does not need, varies nowhere.
    """
    alike = slot.shape == p.shape and p.ndim
    if isinstance(slot, np.ndarray):
        slot = jnp.asarray(slot)
    elif isinstance(p, Tracer):
        return sharded_like(p, slot) if alike else varied(slot, varying_axes(p))
    mesh = _mesh_of(p)
    if mesh is None or isinstance(slot, Tracer) or slot.sharding.num_devices > 1:
        return slot
    return jax.device_put(slot, p.sharding if alike else mesh)


def sharded_like(x: jax.Array, made: jax.Array) -> jax.Array:
    """Return ``made``, an array of the shape of ``x``, sharded as ``x`` is.

    Under ``jit`` on an automatic mesh the compiler chooses the sharding of each array
    from what it is computed from. Zeros depend on nothing and would come out whole on
    every device. So each entry is made to depend on that of ``x`` by a condition that
    never holds, but that no compiler simplifies: no absolute value, NaN included, is
    below -1. Then the entry would be another number, as a choice between equal ones is
    no choice to a compiler. This costs one read of ``x``.
    """
    known = _IN_PLACE.get() or not jnp.issubdtype(x.dtype, jnp.inexact)
    if known or not made.ndim:
        return varied(made, varying_axes(x))
    return jnp.where(jnp.abs(x) < -1, (made == 0).astype(made.dtype), made)


_IN_PLACE = ContextVar("_IN_PLACE", default=False)


@contextmanager
def in_place_of_sharded() -> Iterator[None]:
    """Within: what is made takes the place of arrays that are sharded already.

    What a conditional gives has the sharding of what it was given in its place, so that
    nothing is read to say how it is sharded.
    """
    token = _IN_PLACE.set(True)
    try:
        yield
    finally:
        _IN_PLACE.reset(token)


def layout_of(x: jax.Array) -> NamedSharding | None:
    """Return how an array is sharded where its type says so, on explicit axes."""
    sharding = jax.typeof(x).sharding
    mesh = sharding.mesh
    return sharding if not mesh.empty and mesh.are_all_axes_explicit else None


def laid_out(x: jax.Array, spec: Iterable[Any]) -> jax.Array:
    """Shard an array anew, on a mesh where that is part of its type."""
    layout = layout_of(x)
    if layout is None:
        return x
    return jax.sharding.reshard(x, NamedSharding(layout.mesh, PartitionSpec(*spec)))


def everywhere(x: jax.Array) -> jax.Array:
    """Return an array that every device holds whole, on a mesh of automatic axes."""
    mesh = jax.typeof(x).sharding.mesh
    if not is_automatic(mesh) or AxisType.Explicit in mesh.axis_types:
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec()))


def is_automatic(mesh: Any) -> bool:
    """Whether a mesh spreads arrays over devices as the compiler likes."""
    sizes = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
    return math.prod(size for size, kind in sizes if kind is AxisType.Auto) > 1


def zero_count(params: Params) -> Count:
    """Make a step count that lies on the devices of the parameters."""
    return replicated_like(params, 0, jnp.int32)


def replicated_like(
    params: Params, value: Any, dtype: DTypeLike | None = None
) -> jax.Array:
    """Make a number of state, or a few, that lie on the devices of the parameters.

    Left on one device they would come back from the first jitted step on all of them,
    and the second step would be compiled anew.
    """
    array = jnp.array(value, dtype)
    if is_manual():  # and lies on every device by itself
        return array
    for leaf in jax.tree.leaves(params):
        if isinstance(leaf, Tracer):
            # What depends on nothing, jit would place on one device.
            return jax.lax.optimization_barrier((array, leaf))[0]
        sharding = _mesh_of(leaf)
        if sharding is not None and not isinstance(array, Tracer):
            return jax.device_put(array, sharding)
    return array


def _mesh_of(leaf: Any) -> Any:
    sharding = getattr(leaf, "sharding", None)
    # Shapes may tell the layout of arrays to come, on a mesh that has no devices yet.
    named = isinstance(sharding, NamedSharding)
    if named and isinstance(sharding.mesh, Mesh) and sharding.num_devices > 1:
        return NamedSharding(sharding.mesh, PartitionSpec())
    return None


def are_scattered(tree: Any) -> bool:
    """Whether some arrays lie on other devices than others do."""
    arrays = [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]
    return len({frozenset(x.sharding.device_set) for x in arrays}) > 1
