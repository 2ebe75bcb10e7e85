"""Show a transformation all leaves as one vector."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from gradtx.common.leaves import frozen_update, is_differentiable, parted
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.leafwise import flatten_updates, matching_params
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)


@transformation
def flatten(inner: GradientTransformation) -> GradientTransformation:
    """Let ``inner`` see all leaves as one vector, laid end to end.

    That makes a smaller program of a tree of many small leaves, for one more copy of
    the tree in each step. What ``inner`` does by leaf, it then does to all together.
    Leaves of several types make a vector for each type, in a tuple in the order of the
    types' names. Leaves that lie on several devices are gathered. What cannot have a
    gradient is left out.

    Args:
      inner: any transformation.

    Raises:
      ValueError: for trees or shapes that do not match.
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        return inner.init(packed(params)[0])

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
            u if is_differentiable(g) else frozen_update(g, p)
            for (_, g), p, u in zip(leaves, found, unpacked, strict=True)
        ]
        return treedef.unflatten(moved), state

    return GradientTransformation(init, update)


def packed(tree: PyTree) -> tuple[PyTree, Callable[[PyTree], PyTree]]:
    """Return the leaves as ``inner`` sees them, and what lays them out again."""
    leaves, put = parted(tree)
    arrays = [jnp.asarray(x) for x in leaves]
    dtypes = [x.dtype for x in arrays]

    def unpack(flat: PyTree) -> PyTree:
        return put(_unpack(flat, arrays, dtypes))

    return _pack(arrays, dtypes), unpack


def _pair(g: Any, p: Any) -> tuple[jax.Array, jax.Array] | None:
    """Return a gradient, 0 where it is missing, and what tells its type."""
    like = g if p is None else p
    if not is_differentiable(like):
        return None
    like = jnp.asarray(like)
    return (g if is_differentiable(g) else jnp.zeros_like(like)), like


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
