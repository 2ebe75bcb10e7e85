"""Layouts on a mesh: which one an array has, and how it is cut further."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gradtx.common import checks
from gradtx.common.leaves import is_array
from gradtx.common.numerics import compute_dtype, is_differentiable
from gradtx.common.types import Params

T = TypeVar("T")


def names(axis: Any) -> tuple[str, ...]:
    """Return the axes of a mesh that one entry of a layout names."""
    if axis is None:
        return ()
    return tuple(axis) if isinstance(axis, tuple | list) else (axis,)


def mesh_of(x: Any, path: Any) -> Any:
    """Return the mesh that an array lies on, or else the one that is set.

    Raises:
      ValueError: if there is none.
    """
    sharding = x.sharding if is_shape(x) else jax.typeof(x).sharding
    mesh = getattr(sharding, "mesh", None)
    if mesh is None or mesh.empty:
        mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        raise checks.InvalidArgument(
            f"the parameter at {checks.path_name(path)} lies on no mesh: put it on one "
            "by jax.device_put(x, NamedSharding(mesh, PartitionSpec())), or set one by "
            "jax.set_mesh"
        )
    return mesh


def is_shape(x: Any) -> bool:
    """Whether this tells of an array, and is none."""
    return isinstance(x, jax.ShapeDtypeStruct)


def axis_size(mesh: Any, axis: tuple[str, ...]) -> int:
    """Return over how many devices an axis, or several together, go.

    Raises:
      ValueError: if the mesh lacks one, or it is one of ``jax.shard_map``.
    """
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    missing = [name for name in axis if name not in kinds]
    if missing:
        raise checks.InvalidArgument(
            f"the mesh has no axis {missing[0]!r}: its axes are {mesh.axis_names}"
        )
    if any(kinds[name] is AxisType.Manual for name in axis):
        raise checks.InvalidArgument(
            f"within shard_map over {axis} every device sees its own arrays only: call "
            "it outside, under jit"
        )
    return math.prod(mesh.shape[name] for name in axis)


def is_explicit(mesh: Any, axis: tuple[str, ...]) -> bool:
    """Whether the types of arrays tell their layout along these axes."""
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    return all(kinds[name] is AxisType.Explicit for name in axis)


def longest_even(shape: Sequence[int], parts: int, taken: Sequence[Any]) -> int | None:
    """Return the longest axis of an array that so many devices divide, the first such.

    Args:
      shape: of the array.
      parts: the number of devices.
      taken: for each axis, what it is cut over already; None where it is whole.

    Returns:
      Its number, or None if there is none.
    """
    even = [
        i for i, n in enumerate(shape) if n and n % parts == 0 and not names(taken[i])
    ]
    return max(even, key=lambda i: shape[i]) if even else None


def cut(
    spec: PartitionSpec, shape: Sequence[int], axis: tuple[str, ...], parts: int
) -> PartitionSpec:
    """Return a layout that is cut over ``axis`` besides, where that is possible."""
    taken = [*spec, *[None] * (len(shape) - len(spec))]
    used = {name for part in taken for name in names(part)}
    where = longest_even(shape, parts, taken)
    if where is None or used & set(axis):
        return spec
    first, *others = axis
    taken[where] = axis if others else first
    return PartitionSpec(*taken)


def placed(x: Any, mesh: Any, spec: PartitionSpec, axis: tuple[str, ...]) -> Any:
    """Return an array, or what tells of one, laid out so on a mesh."""
    if is_shape(x):
        return x.update(sharding=NamedSharding(mesh, spec))
    if not is_array(x):
        return x
    own = jax.typeof(x).sharding.mesh
    if own.empty and not isinstance(x, Tracer):
        # An array on one device knows no mesh but the one that is set.
        none = jax.sharding.get_abstract_mesh().empty
        return x if none else jax.device_put(x, spec)
    to = NamedSharding(mesh if own.empty else own, spec)
    if is_explicit(mesh, axis):
        return _resharded(x, to)
    return jax.lax.with_sharding_constraint(x, to)


def _resharded(x: Any, to: NamedSharding) -> Any:
    """Return an array in another layout, on a mesh where that is part of its type.

    A sum over devices that is still to be taken, as the type may say of a gradient, is
    taken in float32 at least.
    """
    if not getattr(jax.typeof(x).sharding.spec, "unreduced", None):
        return jax.sharding.reshard(x, to)
    wide = x.astype(compute_dtype(x.dtype))
    return jax.sharding.reshard(wide, to).astype(x.dtype)


def can_lie(x: Any) -> bool:
    """Whether this is an array of floats: an optimizer keeps state for those."""
    return is_differentiable(x) and hasattr(x, "shape")


def specs_of(layout: Any, params: Params) -> list[Any]:
    """Return the layout of every parameter from one that may speak for several."""

    def ends(x: Any) -> bool:
        return x is None or isinstance(x, PartitionSpec)

    try:
        full = jax.tree.map(
            lambda spec, some: [spec] * len(jax.tree.leaves(some)),
            layout,
            params,
            is_leaf=ends,
        )
    except ValueError as error:
        raise checks.InvalidArgument(
            f"layout does not fit the parameters: {error}"
        ) from error
    return jax.tree.leaves(full, is_leaf=ends)


def check_rank(spec: Any, x: Any, path: Any) -> None:
    """Refuse a layout with more entries than an array has axes."""
    if len(spec) > x.ndim:
        raise checks.InvalidArgument(
            f"layout: {PartitionSpec(*spec)} is for more axes than the {x.ndim} of the "
            f"parameter at {checks.path_name(path)}"
        )


def ending(known: dict[Any, T], path: Any) -> T | None:
    """Return what is known of the parameter whose path a path in a state ends in."""
    ends = (path[i:] for i in range(len(path) + 1))
    return next((known[end] for end in ends if end in known), None)
