"""Where an array is spread over devices, what is made of it is spread alike."""

from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec


def placed(f: Callable[..., Any], x: jax.Array, *others: Any) -> Any:
    """Return f(x, *others), laid out as x where the program says it of every array.

    Reshapes that cut a sharded axis are not allowed there, so that ``f`` is left to
    the compiler and only its results are told their layout.
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
    """Return the layout over devices for an array of other lengths of the same axes.

    An axis that its devices do not divide is kept whole.
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
    """Put an array on the devices of another, spread over them as that one is."""
    if isinstance(made, Tracer):
        return made
    sharding = getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or sharding.num_devices == 1:
        return made
    spec = spec_like(sharding, made.shape)
    return jax.device_put(made, NamedSharding(sharding.mesh, spec))
