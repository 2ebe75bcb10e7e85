"""The slots of a state: which class and field hold an array, for which parameter."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.codecs import is_encoded
from gradtx.codecs.sharding import put_like
from gradtx.common import checks
from gradtx.common.foreign import is_variable
from gradtx.common.types import OptState, Params, PyTree
from gradtx.core import state_fit
from gradtx.saving import vectors
from gradtx.tree import keys, roles
from gradtx.tree.placeholders import is_flat, is_placeholder

# From the path of what stands for all parameters to its mark, to what it is, and to the
# parameters that it may be made of.
Places = dict[tuple[str, ...], tuple[Any, PyTree, list[vectors.Member]]]


class Slot(NamedTuple):
    """An array of a state.

    Args:
      node: the path to the named tuple that holds it.
      owner: the name of that tuple's class; empty where there is none.
      field: the path from there to the array, or to the tree of parameters around it.
      param: the path of its parameter; None for what belongs to no parameter.
      leaf: the array, encoded or in a variable of Flax where it is.
      members: if it is a vector, the parameters that are concatenated in it.
    """

    node: tuple[str, ...]
    owner: str
    field: str
    param: str | None
    leaf: Any
    members: tuple[vectors.Member, ...] = ()

    @property
    def name(self) -> str:
        """The class and the field."""
        return f"{self.owner}.{self.field}" if self.owner else self.field

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array, decoded."""
        return shape_of(self.leaf)


def is_whole(x: Any) -> bool:
    """Whether this is an array in another form; not one without, of a frozen leaf."""
    return (is_encoded(x) or is_variable(x)) and bool(jax.tree.leaves(x))


def value_of(leaf: Any) -> Any:
    """Return an array without what it is kept in."""
    bare = jax.tree.map(
        lambda x: x.get_value() if is_variable(x) else x, leaf, is_leaf=is_variable
    )
    return bare.decode() if is_encoded(bare) else bare


def shape_of(leaf: Any) -> tuple[int, ...]:
    """Return the shape of an array without what it is kept in."""
    return tuple(jax.eval_shape(value_of, leaf).shape)


def slots(
    init: Callable[[Any], OptState], state: OptState, params: Params = None
) -> list[Slot]:
    """Return the arrays of a state, in the order of its leaves.

    Args:
      init: what made the state.
      state: the state.
      params: the parameters, which tell what vectors are made of.
    """
    places = _places(init, state, params)
    return [_slot(x.path, x.leaf, places) for x in _parts(state)]


def _places(init: Callable[[Any], OptState], state: OptState, params: Params) -> Places:
    """Return the paths to what there is for all parameters."""
    marks = roles.marked(init, state)
    walk = [x for x in roles.walk(marks, is_placeholder) if is_placeholder(x.leaf)]
    flat = [is_flat(x.leaf) for x in walk]

    def sizes(params: Params) -> list[int]:
        made = _marked(marks, jax.eval_shape(init, params))
        return [_size(x) for x, is_vector in zip(made, flat, strict=True) if is_vector]

    known = vectors.every(params)
    of_vectors = iter(vectors.members(sizes, params, known) if any(flat) else ())
    return {
        _plain(x.path): (x.leaf, value, next(of_vectors) if is_flat(x.leaf) else known)
        for x, value in zip(walk, _marked(marks, state), strict=True)
    }


def _marked(marks: PyTree, state: OptState) -> list[PyTree]:
    """Return what stands in a state where the marks are."""
    found, treedef = jax.tree.flatten(marks, is_leaf=is_placeholder)
    if not any(map(is_placeholder, found)):
        return []
    pairs = zip(found, treedef.flatten_up_to(state), strict=True)
    return [value for mark, value in pairs if is_placeholder(mark)]


def _size(value: PyTree) -> int:
    """Return how many numbers there are, decoded."""
    leaves = jax.tree.leaves(value, is_leaf=is_whole)
    return sum(math.prod(shape_of(x)) for x in leaves)


def _parts(state: PyTree) -> list[roles.Part]:
    return [x for x in roles.walk(state, is_whole) if jax.tree.leaves(x.leaf)]


def _plain(path: keys.Path) -> tuple[str, ...]:
    return tuple(str(keys.plain(entry)) for entry in path)


def _slot(path: keys.Path, leaf: Any, places: Places) -> Slot:
    plain = _plain(path)
    cut = next((i for i in range(len(path), -1, -1) if plain[:i] in places), None)
    end = len(path) if cut is None else cut
    named = [i for i in range(end) if isinstance(path[i], keys.NamedTupleKey)]
    start = named[-1] if named else 0
    param, members = None, ()
    if cut is not None:
        param, found = vectors.place_in(*places[plain[:cut]], path[cut:])
        members = tuple(found) if vectors.holds(shape_of(leaf), found) else ()
    return Slot(
        plain[:start],
        path[start].tuple_name if named else "",
        "/".join(plain[start:end]),
        param,
        leaf,
        members,
    )


def opened(whole: list[Slot]) -> list[Slot]:
    """Return slots with those of every parameter in place of vectors."""
    return [part for x in whole for part in _opened(x)]


def _opened(x: Slot) -> list[Slot]:
    if not x.members:
        return [x]
    pairs = zip(x.members, vectors.split(value_of(x.leaf), x.members), strict=True)
    return [x._replace(param=y.param, leaf=array, members=()) for y, array in pairs]


def closed(whole: list[Slot], arrays: list[Any]) -> list[Any]:
    """Return what the slots hold, of what each of the opened ones is given.

    Args:
      whole: the slots.
      arrays: an array, or None to leave what is there, for each of ``opened(whole)``.
    """
    given = iter(arrays)
    return [_closed(x, [next(given) for _ in x.members or (x,)]) for x in whole]


def _closed(x: Slot, given: list[Any]) -> Any:
    if all(array is None for array in given):
        return x.leaf
    if not x.members:
        return in_place_of(x.leaf, given[0])
    there = vectors.split(value_of(x.leaf), x.members)
    pairs = zip(there, given, strict=True)
    parts = [old if new is None else value_of(new) for old, new in pairs]
    return in_place_of(x.leaf, vectors.joined(parts))


def slots_alike(
    init: Any, made: OptState, state: OptState, params: Params
) -> list[Slot]:
    """Return the arrays of a state that has the paths of one that ``init`` made.

    The classes are compared by their names, so that it may be optax's.

    Raises:
      ValueError: if it has other paths, classes or shapes: both are named.
    """
    expected, given = _parts(made), _parts(state)
    if [_known(x.path) for x in given] != [_known(x.path) for x in expected]:
        state_fit.refuse(state, state_fit.described(made))
    for one, other in zip(given, expected, strict=True):
        if shape_of(one.leaf) != shape_of(other.leaf):
            raise checks.InvalidArgument(
                f"the state at {keys.written(one.path)} has shape "
                f"{shape_of(one.leaf)}, but for these parameters it is "
                f"{shape_of(other.leaf)}: give those that the state was made for"
            )
    known = slots(init, made, params)
    return [x._replace(leaf=y.leaf) for x, y in zip(known, given, strict=True)]


def _known(path: keys.Path) -> tuple[str, ...]:
    return tuple(
        str(x) if isinstance(x, keys.NamedTupleKey) else str(keys.plain(x))
        for x in path
    )


def in_place_of(place: Any, leaf: Any) -> Any:
    """Bring an array into the form of another: its type, its codec, its devices."""
    value = value_of(leaf)
    if is_encoded(place):
        bare = jax.tree.map(value_of, place, is_leaf=is_variable)
        made = bare.codec.encode(value.astype(bare.dtype))
        return jax.tree.map(_held_like, place, made, is_leaf=is_variable)
    return _held_like(place, value)


def _held_like(place: Any, value: Any) -> Any:
    array = value_of(place)
    value = put_like(array, jnp.array(value, array.dtype))
    return place.replace(value) if is_variable(place) else value
