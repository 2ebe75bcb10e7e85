"""For a walk over leaves by hand: into float32 for the arithmetic, and back again."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import numerics
from gradtx.common.leaves import frozen_update, map_differentiable
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import PyTree
from gradtx.core.leafwise import Leaf, to_compute_dtype
from gradtx.lowering.sharding import sharded_like


def wide_leaves(tree: PyTree) -> PyTree:
    """Return a tree whose leaves that can have a gradient are in at least float32."""
    return map_differentiable(lambda x: to_compute_dtype(jnp.asarray(x)), tree)


def settled(u: Any, g: Any, p: Any) -> Any:
    """Return the update of one leaf in its parameter's type, for a walk by hand.

    Args:
      u: the update; where there is no gradient it does not matter.
      g: the gradient, or what stands in its place.
      p: the parameter; None where none are given.
    """
    if not is_differentiable(g):
        return frozen_update(g, p)
    return numerics.cast(u, jnp.result_type(g if p is None else p))


def settled_leaves(new: list[Any], leaves: list[Leaf], params: list[Any]) -> list[Any]:
    """Return updates in the types of their parameters, or else of their gradients."""
    return [settled(u, g, p) for u, (_, g), p in zip(new, leaves, params, strict=True)]


def stored(old: PyTree, new: PyTree) -> PyTree:
    """Return new state in the types and the places of the old.

    What comes out of a stack lies where its computation happens to end.
    """

    def one(x: Any, y: Any) -> Any:
        y = y.astype(x.dtype)
        return sharded_like(x, y) if isinstance(y, Tracer) else y

    return jax.tree.map(one, old, new)
