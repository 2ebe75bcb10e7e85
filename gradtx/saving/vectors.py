"""Which parameters are concatenated in a vector of a state, and in which order."""

import math
from collections.abc import Callable, Sequence
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

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def every(params: Params) -> list[Member]:
    """Return all parameters that have state, in the order of the leaves."""
    return [
        Member(path_of(path), jnp.shape(x), jnp.result_type(x).name)
        for path, x in jax.tree_util.tree_leaves_with_path(params)
        if is_differentiable(x)
    ]


def members(
    sizes: Callable[[Params], list[int]], params: Params, known: list[Member]
) -> list[list[Member]]:
    """Return which of the parameters several vectors are made of.

    A leaf of integers in place of a parameter has the same path and shape, so that it
    goes where the parameter went; but it has no state, so that the vector is shorter.

    Args:
      sizes: tells how many numbers are in each of the vectors for some parameters, or
        their shapes.
      params: the parameters.
      known: all of them that have state.
    """
    whole = sizes(params)
    if whole == [sum(x.size for x in known)] * len(whole):
        return [known] * len(whole)
    leaves, treedef = jax.tree.flatten(params)
    places = [i for i, x in enumerate(leaves) if is_differentiable(x)]
    found: list[list[Member]] = [[] for _ in whole]
    for i, member in zip(places, known, strict=True):
        other = jax.ShapeDtypeStruct(member.shape, jnp.int32)
        without = sizes(treedef.unflatten([*leaves[:i], other, *leaves[i + 1 :]]))
        for group, size, rest in zip(found, whole, without, strict=True):
            if rest < size:
                group.append(member)
    return found


def place_in(
    mark: Any, value: PyTree, known: list[Member], path: Sequence[Any]
) -> tuple[str, list[Member]]:
    """Return the path of the parameter of an array, or what its vector is made of.

    Args:
      mark: the placeholder that marks the place of all parameters.
      value: what stands there in the state.
      known: the parameters that it may be made of.
      path: from there to the array.

    Returns:
      The path, and the members in their order; none if the array is no vector of a
      :func:`gradtx.pack_small_leaves` or a :func:`gradtx.flatten`.
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
    return bool(members) and shape == (sum(x.size for x in members),)


def split(vector: jax.Array, members: Sequence[Member]) -> list[jax.Array]:
    """Return the array of each member."""
    ends = accumulate(x.size for x in members)
    whole = laid_out(vector, ())
    return [
        whole[end - x.size : end].reshape(x.shape)
        for end, x in zip(ends, members, strict=True)
    ]


def joined(arrays: Sequence[jax.Array]) -> jax.Array:
    """Return the vector of what its members have."""
    return jnp.concatenate([jnp.ravel(laid_out(jnp.asarray(x), ())) for x in arrays])
