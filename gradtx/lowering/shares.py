"""Stacks of matrices shared out over the devices of a mesh: each works on whole ones.

leaves, each sharded as it is       a step's matrices of one shape
(b, m, n), sharded as the leaves    concatenated: nothing is sent
(b / devices, m, n) on each device  sent once: an all-to-all, or nothing if whole
the function                        within ``shard_map``: nothing is sent
(b, m, n), sharded as the leaves    sent once: an all-to-all, or an all-gather
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gradtx.common import checks
from gradtx.common.types import AxisName, PyTree
from gradtx.lowering.rebinding import rebound, typed_captures
from gradtx.lowering.sharding import laid_out, layout_of
from gradtx.lowering.stacking import devices_along, fitting
from gradtx.lowering.varying import axis_names

FREE = PartitionSpec.UNCONSTRAINED


def in_split(
    function: Callable[..., PyTree], split: AxisName, stacks: tuple[PyTree, ...]
) -> Any:
    """Apply a function of batches to them, each device to some of the entries, whole.

    Batches that the devices do not divide are padded with copies of the last entry.
    Of several axes those are taken that leave a device the fewest entries, and few of
    them if many do.

    Args:
      function: ``function(*stacks)`` treats the batch entry by entry.
      split: the axis, or axes, of the mesh; None shares nothing out.
      stacks: trees of arrays that begin with the batch.

    Raises:
      ValueError: if the arrays are on no mesh, or it has no such axis.
    """
    found, treedef = jax.tree.flatten(stacks)
    if split is None or not found:
        return function(*stacks)
    mesh = _mesh_of(found[0], axis_names(split))
    many = len(found[0])
    axes = fitting(many, axis_names(split), mesh)
    missing = -many % devices_along(axes, mesh)
    # What is sharded costs less to bring back, so that of two shardings is taken.
    by_cuts = sorted(found, key=_is_cut)
    layouts = {x.shape[1:]: layout_of(x) for x in by_cuts}
    given = treedef.unflatten(
        [_placed(_padded(_free(x), missing), mesh, PartitionSpec(axes)) for x in found]
    )
    made = _mapped(function, mesh, axes, given)

    def back(x: jax.Array) -> jax.Array:
        layout = layouts.get(x.shape[1:])
        if missing:
            # Sent in whole, the padding would cost as much as what is wanted.
            x = _placed(x, mesh, evenly(x.shape, axes, mesh))[:many]
        if layout is not None or layout_of(x) is not None:
            return laid_out(x, () if layout is None else layout.spec)
        return _free(x)

    return jax.tree.map(back, made)


def _mapped(
    function: Callable[..., PyTree], mesh: Any, axes: tuple[str, ...], stacks: Any
) -> PyTree:
    """Run a function where every device sees its share."""
    kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
    over = {name for name, kind in kinds if kind is not AxisType.Manual}
    shared, whole = PartitionSpec(axes), PartitionSpec()
    held: list[Any] = []
    if AxisType.Explicit in mesh.axis_types:
        share = partial(_share, mesh=mesh, devices=devices_along(axes, mesh))
        held = typed_captures(function, *jax.tree.map(share, stacks))

    def local(held_here: list[Any], stacks: Any) -> PyTree:
        values = dict(zip(map(id, held), held_here, strict=True))
        return rebound(function, values)(*stacks) if held else function(*stacks)

    run = jax.shard_map(
        local, mesh=mesh, in_specs=(whole, shared), out_specs=shared, axis_names=over
    )
    return run([_placed(x, mesh, whole) for x in held], stacks)


def _share(x: jax.Array, mesh: Any, devices: int) -> jax.ShapeDtypeStruct:
    shape = (len(x) // devices, *x.shape[1:])
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.ShapeDtypeStruct(shape, x.dtype, sharding=whole)


def _padded(x: jax.Array, missing: int) -> jax.Array:
    if not missing:
        return x
    layout = layout_of(x)
    if layout is not None and layout.spec[0] is not None:
        x = laid_out(x, (None, *layout.spec[1:]))
    # Copies, as a decomposition of zeros may have no derivative.
    last = jnp.broadcast_to(x[-1:], (missing, *x.shape[1:]))
    return jnp.concatenate([x, last])


def _free(x: jax.Array) -> jax.Array:
    """Keep an automatic mesh from sharding what is concatenated along its batch."""
    mesh = jax.typeof(x).sharding.mesh
    if mesh.empty or layout_of(x) is not None:
        return x
    return _placed(x, mesh, PartitionSpec(None, *[FREE] * (x.ndim - 1)))


def _placed(x: jax.Array, mesh: Any, spec: PartitionSpec) -> jax.Array:
    if layout_of(x) is not None:
        return laid_out(x, spec)
    if not isinstance(x, Tracer) and FREE in spec:  # it is placed already
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))


def _is_cut(x: jax.Array) -> bool:
    layout = layout_of(x)
    return layout is not None and any(part is not None for part in layout.spec)


def in_parts(x: jax.Array, split: AxisName, like: Any) -> jax.Array:
    """Return batches of matrices of state, sharded over the axes that share them out.

    Each is cut along a side that the devices divide, so that it is exchanged like a
    sharded parameter. Without a mesh it stays as it is.

    Args:
      x: of shape (b, m, n), or (b, m) for diagonals; others stay as they are.
      split: the axes.
      like: a parameter, which tells the mesh.
    """
    mesh, kinds = _mesh_at(like)
    manual = AxisType.Manual
    absent = [n for n in axis_names(split) if kinds.get(n, manual) is manual]
    if split is None or x.ndim < 2 or absent:  # noqa: PLR2004
        return x
    layout = NamedSharding(mesh, evenly(x.shape, axis_names(split), mesh))
    if AxisType.Explicit in kinds.values():
        return jax.sharding.reshard(x, layout)
    if isinstance(x, Tracer):
        return jax.lax.with_sharding_constraint(x, layout)
    devices = getattr(like.sharding, "mesh", mesh)
    return jax.device_put(x, NamedSharding(devices, layout.spec))


def _mesh_at(x: Any) -> tuple[Any, dict[str, AxisType]]:
    """Return the mesh of an array, or the one that is set, and its axes' types."""
    mesh = jax.typeof(x).sharding.mesh
    if mesh.empty:
        mesh = jax.sharding.get_abstract_mesh()
    return mesh, dict(zip(mesh.axis_names, mesh.axis_types, strict=True))


def _mesh_of(x: Any, names: tuple[str, ...]) -> Any:
    """Return the mesh of an array, or the one that is set.

    Raises:
      ValueError: if there is none, or it lacks an axis; within shard_map over one.
    """
    mesh, kinds = _mesh_at(x)
    missing = [name for name in names if name not in kinds]
    if missing:
        known = f"its axes are {mesh.axis_names}" if kinds else "there is no mesh"
        raise checks.InvalidArgument(
            f"split: the mesh has no axis {missing[0]!r}: {known}; put the parameters "
            "on a mesh with that axis, or leave split out"
        )
    if any(kinds[name] is AxisType.Manual for name in names):
        raise checks.InvalidArgument(
            f"split: within shard_map over {names} every device sees its own arrays "
            "only: call it outside, under jit"
        )
    return mesh


def evenly(shape: tuple[int, ...], names: Iterable[str], mesh: Any) -> PartitionSpec:
    """Return a layout of a batch by the longest of its other axes that divides.

    It is cut over as many devices as can be, of those along the axes named.
    """
    names = tuple(names)
    every = [some for n in range(len(names) + 1) for some in combinations(names, n)]
    for axes in sorted(every, key=lambda some: -devices_along(some, mesh)):
        parts = devices_along(axes, mesh)
        even = [i for i in range(1, len(shape)) if shape[i] and shape[i] % parts == 0]
        if even and parts > 1:
            i = max(even, key=lambda i: shape[i])
            return PartitionSpec(*[axes if j == i else None for j in range(len(shape))])
    return PartitionSpec()
