"""The steps of whole arrays, where every device sees its own part of them."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from gradtx.common import checks
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.varying import is_manual
from gradtx.lowering.varying_matrices import ShardWarning
from gradtx.sharding import layouts


@dataclass(frozen=True)
class _Part:
    """Which part of a whole array a device holds: along each axis, over which axes."""

    shape: tuple[int, ...]  # of the whole array
    axes: tuple[tuple[str, ...], ...]  # of the mesh, for every axis of the array

    def whole(self, x: Any) -> Any:
        """Return the whole array, which by its type is the same on every device.

        A sum of parts in their places, as the type of an all-gather says nothing.
        """
        names = tuple(name for some in self.axes for name in some)
        if not names:
            return x
        room = jnp.zeros(self.shape, x.dtype)
        return jax.lax.psum(
            jax.lax.dynamic_update_slice(room, x, self._begins(x.shape)), names
        )

    def own(self, x: Any, like: tuple[int, ...]) -> Any:
        """Return this device's part, whose shape is given, of a whole array."""
        if not any(self.axes):
            return x
        return jax.lax.dynamic_slice(x, self._begins(like), like)

    def _begins(self, shape: tuple[int, ...]) -> list[Any]:
        return [
            jax.lax.axis_index(names) * n if names else 0
            for names, n in zip(self.axes, shape, strict=True)
        ]


Parts = dict[Any, tuple[_Part, tuple[int, ...]]]  # by path, with the shape of the part


@transformation
def gathered(tx: GradientTransformation, layout: Any) -> GradientTransformation:
    """Within ``jax.shard_map``, take the steps of whole arrays, each device its part.

    For methods that must see whole arrays, such as Muon, SOAP, Shampoo and Adafactor,
    in a step written for what one device holds::

        g, p, m  whole: every device gets the parts of the others
        u, m     = tx.update(g, m, p)
        u, m     this device's parts

    State of the shape of its parameter is kept in parts, as the parameter is; all else,
    such as the factors of Shampoo, is whole and the same on every device. Each device
    does the whole step: under ``jit`` without ``shard_map``, ``split`` shares it out.
    There, and in ``init`` outside of ``shard_map``, this does nothing. Extra arguments
    are passed on as they come.

    Args:
      tx: any transformation. Put it around the whole optimizer.
      layout: the ``PartitionSpec`` of the parameters, as ``in_specs`` of ``shard_map``
        has it, or a tree of them whose leaves stand for whole subtrees. A leaf that
        varies along an axis that its layout does not name is the device's own, as in
        local SGD: it is not gathered, and methods for matrices do not warn of it.

    Raises:
      ValueError: from ``init`` and ``update`` for a layout that does not fit the
        parameters, or that names an axis that the mesh lacks.

    Example:
      >>> print(gradtx.gathered(gradtx.muon(0.1), jax.sharding.PartitionSpec()))
      gathered(tx=muon(learning_rate=0.1), layout=P())
    """
    inner = with_extra_args_support(tx)

    def init(params: Params) -> OptState:
        if not is_manual():
            return inner.init(params)
        parts = _parts(params, layout)
        with _told():
            state = inner.init(_whole(parts, params))
        return _map_slots(parts, _shapes(state), _own, state)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        if not is_manual():
            return inner.update(updates, state, params, **extra)
        parts = _parts(updates if params is None else params, layout)
        updates, params = (_whole(parts, tree) for tree in (updates, params))
        with _told():
            like = jax.eval_shape(
                lambda: inner.init(updates if params is None else params)
            )
            state = _map_slots(parts, like, _gather, state)
            updates, state = inner.update(updates, state, params, **extra)
        own = jax.tree_util.tree_map_with_path(
            lambda path, x: _own(parts[path], x) if path in parts else x, updates
        )
        return own, _map_slots(parts, like, _own, state)

    return GradientTransformation(init, update)


def _told() -> Any:
    """Leave out the warnings of what the layout tells."""
    return warnings.catch_warnings(action="ignore", category=ShardWarning)


def _parts(params: Params, layout: Any) -> Parts:
    found = jax.tree_util.tree_leaves_with_path(params)
    specs = layouts.specs_of(layout, params) if found else []
    return {
        path: (_part_of(path, x, spec), x.shape)
        for (path, x), spec in zip(found, specs, strict=True)
        if layouts.can_lie(x)
    }


def _part_of(path: Any, x: Any, spec: PartitionSpec | None) -> _Part:
    entries = () if spec is None else tuple(spec)
    layouts.check_rank(entries, x, path)
    mesh = jax.sharding.get_abstract_mesh()
    known = {name for entry in entries for name in layouts.names(entry)}
    missing = sorted(known - set(mesh.axis_names))
    if missing:
        raise checks.InvalidArgument(
            f"layout: the mesh has no axis {missing[0]!r}: its axes are "
            f"{mesh.axis_names}"
        )
    # Along other axes an array is whole here, and the compiler's affair.
    axes = [
        tuple(name for name in layouts.names(entry) if name in mesh.manual_axes)
        for entry in (*entries, *[None] * (x.ndim - len(entries)))
    ]
    shape = tuple(
        n * math.prod(mesh.shape[name] for name in names)
        for n, names in zip(x.shape, axes, strict=True)
    )
    return _Part(shape, tuple(axes))


def _gather(part: tuple[_Part, Any], x: Any) -> Any:
    return part[0].whole(x)


def _own(part: tuple[_Part, tuple[int, ...]], x: Any) -> Any:
    return part[0].own(x, part[1]) if layouts.can_lie(x) else x


def _whole(parts: Parts, tree: PyTree) -> PyTree:
    def one(path: Any, x: Any) -> Any:
        known = path in parts and layouts.can_lie(x)
        return parts[path][0].whole(x) if known else x

    return jax.tree_util.tree_map_with_path(one, tree)


def _shapes(state: OptState) -> PyTree:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), x.dtype), state)


def _map_slots(
    parts: Parts, like: PyTree, how: Callable[..., Any], state: OptState
) -> OptState:
    """Apply a function to the slots that have the whole shape of their parameter.

    A slot's path ends in that of its parameter.
    """

    def one(path: Any, x: Any, whole: Any) -> Any:
        part = layouts.ending(parts, path)
        return x if part is None or whole.shape != part[0].shape else how(part, x)

    return jax.tree_util.tree_map_with_path(one, state, like)
