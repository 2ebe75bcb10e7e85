"""Which parameters are concatenated in a vector of a state, and in which order."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.numerics import is_differentiable
from gradtx.common.types import Params, PyTree
from gradtx.groups.paths import path_of
from gradtx.lowering.sharding import laid_out
from gradtx.tree.packed import PackedLeaves, is_packed_node
from gradtx.tree.placeholders import is_flat


class Member(NamedTuple):
    """A parameter in a vector.

    Args:
      param: its path.
      shape: its shape.
      kind: the name of its type, by which it has its vector.
    """

    param: str
    shape: tuple[int, ...]
    kind: str


def every(params: Params) -> list[Member]:
    """Return all parameters that have state, in the order of the leaves."""
    return [
        Member(path_of(path), jnp.shape(x), jnp.result_type(x).name)
        for path, x in jax.tree_util.tree_leaves_with_path(params)
        if is_differentiable(x)
    ]


def place_in(
    mark: Any, value: PyTree, path: Sequence[Any], known: list[Member]
) -> tuple[str, list[Member]]:
    """Return the path of the parameter of an array, or what its vector is made of.

    Args:
      mark: the placeholder that marks the place of all parameters.
      value: what stands there in the state.
      path: from there to the array.
      known: all parameters.

    Returns:
      The path, and the members in their order; none if the array is no vector of a
      :func:`gradtx.pack_small_leaves` or a :func:`gradtx.flatten` around all of them.
    """
    here = path_of(path)
    if isinstance(value, PackedLeaves):
        if path[0].name == "rest":
            return path_of(path[1:]), []
        return here, _packed(value, path_of(path[1:]), known)
    if not is_flat(mark):
        return here, []
    kinds = sorted({x.kind for x in known})
    if not path:
        return here, known
    if len(value) != len(kinds):  # of a part of the parameters
        return here, []
    return here, [x for x in known if x.kind == kinds[int(here)]]


def _packed(value: PackedLeaves, kind: str, known: list[Member]) -> list[Member]:
    """Return what is in the vector of a type; all of it if there is only one vector.

    A wrapper around may show parameters in another type than they have.
    """
    pairs = jax.tree_util.tree_leaves_with_path(value.rest, is_leaf=is_packed_node)
    packed = {path_of(path) for path, x in pairs if is_packed_node(x)}
    alone = len(value.small) == 1
    return [x for x in known if x.param in packed and (alone or x.kind == kind)]


def holds(shape: tuple[int, ...], members: list[Member]) -> bool:
    """Whether a vector of this shape has an entry for each of the members'."""
    return bool(members) and shape == (sum(math.prod(x.shape) for x in members),)


def split(vector: jax.Array, members: Sequence[Member]) -> list[jax.Array]:
    """Return the array of each member."""
    ends = accumulate(math.prod(x.shape) for x in members)
    whole = laid_out(vector, ())
    return [
        whole[end - math.prod(x.shape) : end].reshape(x.shape)
        for end, x in zip(ends, members, strict=True)
    ]


def joined(arrays: Sequence[jax.Array]) -> jax.Array:
    """Return the vector of what its members have."""
    return jnp.concatenate([jnp.ravel(laid_out(jnp.asarray(x), ())) for x in arrays])
