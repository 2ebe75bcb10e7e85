"""Show a transformation all leaves as one vector."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.leaves import frozen_update, parted
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.leafwise import flatten_updates, matching_params
from gradtx.core.slots import made_of
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import laid_out
from gradtx.lowering.varying import varying_axes
from gradtx.tree.placeholders import SlotPlaceholder, is_slot


@transformation
def flatten(inner: GradientTransformation) -> GradientTransformation:
    """Let ``inner`` see all leaves concatenated into one vector.

    That makes a smaller program of a tree of many small leaves, for one more copy of
    the tree in each step. What ``inner`` does by leaf, it then does to all together.
    Leaves of several types make a vector for each type, in a tuple in the order of the
    types' names. Sharded leaves are gathered. What cannot have a
    gradient is left out.

    Args:
      inner: any transformation.

    Raises:
      ValueError: for trees or shapes that do not match.

    Example:
      >>> tx, params = gradtx.flatten(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        if is_slot(params):  # it stands for the vectors too
            return inner.init(SlotPlaceholder(params.role, flat=True))
        return inner.init(made_of(lambda x: packed(x)[0], params))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        found = matching_params(params, leaves, treedef)
        pairs = [_pair(g, p) for (_, g), p in zip(leaves, found, strict=True)]
        there = [pair for pair in pairs if pair is not None]
        kinds = [_kind(p) for _, p in there]
        flat = _pack([g for g, _ in there], kinds)
        shown = None if params is None else _pack([p for _, p in there], kinds)
        new, state = inner.update(flat, state, shown, **extra)
        parts = iter(_unpack(new, [g for g, _ in there], kinds))
        unpacked = [None if pair is None else next(parts) for pair in pairs]
        moved = [
            u if is_differentiable(g) else frozen_update(g, p)
            for (_, g), p, u in zip(leaves, found, unpacked, strict=True)
        ]
        return treedef.unflatten(moved), state

    return GradientTransformation(init, update)


def packed(tree: PyTree) -> tuple[PyTree, Callable[[PyTree], PyTree]]:
    """Return the leaves as ``inner`` sees them, and what splits them again."""
    leaves, put = parted(tree)
    arrays = [jnp.asarray(x) for x in leaves]
    kinds = [_kind(x) for x in arrays]

    def unpack(flat: PyTree) -> PyTree:
        return put(_unpack(flat, arrays, kinds))

    return _pack(arrays, kinds), unpack


def _pair(g: Any, p: Any) -> tuple[jax.Array, jax.Array] | None:
    """Return a gradient, 0 where it is missing, and what tells its type."""
    like = g if p is None else p
    if not is_differentiable(like):
        return None
    like = jnp.asarray(like)
    return (g if is_differentiable(g) else jnp.zeros_like(like)), like


Kind = tuple[str, tuple[str, ...]]


def _kind(x: jax.Array) -> Kind:
    """Return the type, and the axes along which the array varies in ``shard_map``."""
    return x.dtype.name, tuple(sorted(map(str, varying_axes(x))))


def _pack(arrays: list[jax.Array], kinds: list[Kind]) -> PyTree:
    """Concatenate the arrays, those of each kind into a vector of their own."""
    if not kinds:
        return jnp.zeros(0)
    vectors = tuple(
        jnp.concatenate(
            [
                jnp.ravel(laid_out(x, ()))
                for x, k in zip(arrays, kinds, strict=True)
                if k == kind
            ]
        )
        for kind in sorted(set(kinds))
    )
    return vectors[0] if len(vectors) == 1 else vectors


def _unpack(vectors: PyTree, like: list[jax.Array], kinds: list[Kind]) -> list[Any]:
    every = sorted(set(kinds))
    whole = dict(zip(every, vectors if len(every) > 1 else [vectors], strict=False))
    begin = dict.fromkeys(every, 0)
    parts = []
    for x, kind in zip(like, kinds, strict=True):
        end = begin[kind] + x.size
        part = whole[kind][begin[kind] : end].reshape(x.shape)
        parts.append(laid_out(part, jax.typeof(x).sharding.spec))
        begin[kind] = end
    return parts
