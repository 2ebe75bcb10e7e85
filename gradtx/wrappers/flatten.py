"""Show a transformation all leaves as one vector."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from gradtx.common import checks
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.leafwise import flatten_updates, matching_params
from gradtx.core.slots import made_of
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.tree.placeholders import is_slot


@transformation
def flatten(inner: GradientTransformation) -> GradientTransformation:
    """Let ``inner`` see all leaves as one vector, laid end to end.

    That makes a smaller program of a tree of many small leaves, for one more copy of
    the tree in each step. What ``inner`` does by leaf, it then does to all together.
    Leaves of several types make a vector for each type, in a tuple in the order of the
    types' names. Leaves that lie on several devices are gathered.

    Args:
      inner: any transformation.

    Raises:
      ValueError: for integer leaves, or trees or shapes that do not match.
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        checks.float_leaves(params, "the parameter")
        seen = made_of(lambda x: packed(x)[0], params)
        return inner.init(params if is_slot(params) else seen)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        found = matching_params(params, leaves, treedef)
        pairs = [_pair(g, p) for (_, g), p in zip(leaves, found, strict=True)]
        there = [pair for pair in pairs if pair is not None]
        dtypes = [p.dtype for _, p in there]
        flat = _pack([g for g, _ in there], dtypes)
        shown = None if params is None else _pack([p for _, p in there], dtypes)
        new, state = inner.update(flat, state, shown, **extra)
        parts = iter(_unpack(new, [g for g, _ in there], dtypes))
        unpacked = [None if pair is None else next(parts) for pair in pairs]
        moved = [
            None if g is None else u for (_, g), u in zip(leaves, unpacked, strict=True)
        ]
        return treedef.unflatten(moved), state

    return GradientTransformation(init, update)


def packed(tree: PyTree) -> tuple[PyTree, Callable[[PyTree], PyTree]]:
    """Return the leaves as ``inner`` sees them, and what lays them out again."""
    leaves, treedef = jax.tree.flatten(tree)
    arrays = [jnp.asarray(x) for x in leaves]
    dtypes = [x.dtype for x in arrays]

    def unpack(flat: PyTree) -> PyTree:
        return treedef.unflatten(_unpack(flat, arrays, dtypes))

    return _pack(arrays, dtypes), unpack


def _pair(g: Any, p: Any) -> tuple[jax.Array, jax.Array] | None:
    """Return a gradient, 0 where it is missing, and what tells its type."""
    if p is None:
        return None if g is None else (g, g)
    p = jnp.asarray(p)
    return (jnp.zeros_like(p) if g is None else g), p


def _pack(arrays: list[jax.Array], dtypes: list[Any]) -> PyTree:
    """Lay the arrays end to end, those of each type in a vector of their own."""
    kinds = _kinds(dtypes)
    if not kinds:
        return jnp.zeros(0)
    vectors = tuple(
        jnp.concatenate(
            [
                jnp.ravel(_laid_out(x, PartitionSpec()))
                for x, d in zip(arrays, dtypes, strict=True)
                if d == kind
            ]
        )
        for kind in kinds
    )
    return vectors[0] if len(vectors) == 1 else vectors


def _unpack(vectors: PyTree, like: list[jax.Array], dtypes: list[Any]) -> list[Any]:
    kinds = _kinds(dtypes)
    whole = dict(zip(kinds, vectors if len(kinds) > 1 else [vectors], strict=False))
    begin = dict.fromkeys(kinds, 0)
    parts = []
    for x, dtype in zip(like, dtypes, strict=True):
        end = begin[dtype] + x.size
        part = whole[dtype][begin[dtype] : end].reshape(x.shape)
        parts.append(_laid_out(part, jax.typeof(x).sharding.spec))
        begin[dtype] = end
    return parts


def _laid_out(x: jax.Array, spec: PartitionSpec) -> jax.Array:
    """Lay an array out anew, on a mesh where that is part of its type."""
    mesh = jax.typeof(x).sharding.mesh
    if mesh.empty or not mesh.are_all_axes_explicit:
        return x
    return jax.sharding.reshard(x, NamedSharding(mesh, spec))


def _kinds(dtypes: list[Any]) -> list[Any]:
    return sorted(set(dtypes), key=str)
