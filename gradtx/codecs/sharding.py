"""Sharding: what is computed of a sharded array is sharded like it."""

from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec


def placed(f: Callable[..., Any], x: jax.Array, *others: Any) -> Any:
    """Return f(x, *others), sharded as x where shardings are part of the types.

    On an explicit mesh reshapes may not split a sharded axis, so ``f`` is left to the
    compiler and only its results are given their sharding.
    """
    sharding = jax.typeof(x).sharding
    if sharding.mesh.empty or not sharding.mesh.are_all_axes_explicit:
        return f(x, *others)
    shapes = jax.eval_shape(f, *jax.tree.map(_shaped, (x, *others)))
    out = jax.tree.map(lambda s: spec_like(sharding, s.shape), shapes)
    return jax.sharding.auto_axes(f, out_sharding=out)(x, *others)


def _shaped(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def spec_like(sharding: Any, shape: tuple[int, ...]) -> PartitionSpec:
    """Return the sharding for an array with the same axes of other lengths.

    An axis whose length the devices do not divide is not sharded.
    """
    spec = tuple(sharding.spec) + (None,) * (len(shape) - len(sharding.spec))
    sizes = dict(sharding.mesh.shape)
    kept = [
        names if names is not None and n % _devices(names, sizes) == 0 else None
        for names, n in zip(spec, shape, strict=False)
    ]
    return PartitionSpec(*kept)


def _devices(names: Any, sizes: dict[str, int]) -> int:
    count = 1
    for name in names if isinstance(names, tuple) else (names,):
        count *= sizes[name]
    return count


def put_like(x: Any, made: jax.Array) -> jax.Array:
    """Put an array on the devices of another, sharded as that one is."""
    if isinstance(made, Tracer):
        return made
    sharding = getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or sharding.num_devices == 1:
        return made
    spec = spec_like(sharding, made.shape)
    return jax.device_put(made, NamedSharding(sharding.mesh, spec))
