"""Find and change what a state holds, by name or by path.

The same key may be given in four forms, from the shortest to the surest:

- ``"count"``: a field of a named tuple, a key of a dictionary, or the name of a named
  tuple's class, wherever it stands;
- ``"ScaleByAdamState.count"``: the field of the named tuples of that class;
- ``"0/count"`` (``"/count"`` at the root): the path from the root;
- ``(0, "count")``: the path again, for keys that have a "/" of their own.

Arrays that a state keeps in few bits are read on their way out, and put into as few on
their way in.

A path is never ambiguous. A string with "/" in it is looked for as a name first.

**Names of fields come first**: the keys of dictionaries, which may be the names of
parameters, are meant only where no field and no class has the name. What then names
several things is refused, but for two kinds: :func:`set` changes every field of a name,
and :func:`get`, asked for a step count, returns the outermost one, of those the first.
All links of a chain count the same steps.
"""

import difflib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx import codecs
from gradtx.codecs.sharding import put_like
from gradtx.common import checks
from gradtx.common.foreign import is_variable
from gradtx.common.leaves import is_numeric
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import PyTree
from gradtx.tree import keys
from gradtx.tree.keys import Path

Filter = Callable[[Path, Any], bool]
Found = list[tuple[Path, Any]]


def get_all_with_path(
    tree: PyTree, key: Any, filtering: Filter | None = None
) -> list[tuple[Path, Any]]:
    """Return all that a key names, each with its path from the root.

    A path is a tuple of :class:`NamedTupleKey`, which says the class too, and of the
    keys of :mod:`jax.tree_util` (``DictKey``, ``SequenceKey``, ...).

    Args:
      tree: a state, or any tree.
      key: a name or a path; :mod:`gradtx.tree.state` lists the forms.
      filtering: ``filtering(path, value)`` says which of them to return.

    Example:
      >>> state = gradtx.adam(0.1).init(jnp.ones(2))
      >>> found = gradtx.tree.get_all_with_path(state, "count")
      >>> print([int(count) for path, count in found])
      [0]
    """
    everything = _everything((), tree)
    found = [(path, x) for path, x in everything if keys.is_named(key, path, x)]
    if not found and keys.is_path(key):
        found = [(path, x) for path, x in everything if keys.is_at(key, path)]
    read = [(path, codecs.decoded(x)) for path, x in found]
    if filtering is None:
        return read
    return [(path, x) for path, x in read if filtering(path, x)]


def _everything(path: Path, node: PyTree) -> Found:
    """Return every node with its path; those of one level before the next one's."""
    level = [((*path, key), child) for key, child in keys.children(node)[0]]
    found = [(path, node)] if not path else []
    found += level
    for child_path, child in level:
        found += _everything(child_path, child)
    return found


def get(
    tree: PyTree, key: Any, default: Any = None, filtering: Filter | None = None
) -> Any:
    """Return the one thing that a key names; of step counts the outermost, the first.

    Example::

        get(state, "mu")  # wherever it is, if there is one only
        get(state, "count")  # the steps taken, also with a schedule in the chain
        get(state, "ScaleByAdamState.count")  # the count of that state
        get(state, "0/count")  # the path: never ambiguous

    Args:
      tree: a state, or any tree.
      key: a name or a path; :mod:`gradtx.tree.state` lists the forms.
      default: what to return if there is no such thing.
      filtering: ``filtering(path, value)`` says what may be meant.

    Raises:
      KeyError: if the key names several things; their paths are listed.

    Example:
      >>> state = gradtx.adam(0.1).init(jnp.ones(2))
      >>> print(gradtx.tree.get(state, "mu"))
      [0. 0.]
    """
    found = _meant(key, get_all_with_path(tree, key, filtering))
    if len(found) > 1:
        if not all(_is_count(x) for _, x in found):
            raise KeyError(_several(key, found))
        found.sort(key=lambda each: len(each[0]))
    return found[0][1] if found else default


def _meant(key: Any, found: Found) -> Found:
    """Return the fields and the states of a name, or what else has it."""
    fields = [(path, x) for path, x in found if _is_field(key, path, x)]
    return fields or found


def _is_field(key: Any, path: Path, node: PyTree) -> bool:
    named = keys.is_named_tuple(node) and type(node).__name__ == key
    return named or (bool(path) and isinstance(path[-1], keys.NamedTupleKey))


def _is_count(x: Any) -> bool:
    whole = jnp.issubdtype(getattr(x, "dtype", type(x)), jnp.integer)
    return whole and getattr(x, "shape", ()) == ()


def set(  # noqa: A001
    tree: PyTree, filtering: Filter | None = None, /, **kwargs: Any
) -> PyTree:
    """Return the tree with all that some keys name replaced.

    Example::

        set(state, count=jnp.int32(0))  # every count
        set(state, **{"0/count": jnp.int32(0)})  # the one at this path
        set(state, learning_rate=1e-4)  # of ``inject_hyperparams``

    What takes the place of an array is brought into its type, and onto its devices: a
    jitted step compiles nothing anew for a number of Python's.

    Args:
      tree: a state, or any tree.
      filtering: ``filtering(path, value)`` says what to replace of what is named.
      **kwargs: the new values by name or path; what lies within a replaced thing is
        not looked at.

    Raises:
      KeyError: if a key names nothing, or parameters in several fields, such as those
        called "scale" in the means and in the squares.
      ValueError: if a number is to take the place of an array of another shape, or a
        number with a fraction that of an integer.

    Example:
      >>> state = gradtx.adam(0.1).init(jnp.ones(2))
      >>> state = gradtx.tree.set(state, count=jnp.array(5))
      >>> print(gradtx.tree.get(state, "count"))
      5
    """
    targets = {}
    for key, value in kwargs.items():
        found = _meant(key, get_all_with_path(tree, key, filtering))
        if not found:
            raise KeyError(_none(key, tree, filtering))
        if len({_field_around(key, *each) for each in found}) > 1:
            raise KeyError(_several(key, found))
        targets |= dict.fromkeys((path for path, _ in found), value)
    return _replaced((), tree, targets)


def _field_around(key: Any, path: Path, node: PyTree) -> str | None:
    """Return the field of the state in which a key of a dictionary stands."""
    if _is_field(key, path, node):
        return None
    fields = [x.name for x in path if isinstance(x, keys.NamedTupleKey)]
    return fields[-1] if fields else None


def _replaced(path: Path, node: PyTree, targets: dict[Path, Any]) -> PyTree:
    if path in targets:
        return _encoded_like(node, _fitted(path, node, targets[path]))
    within = [p for p in targets if p[: len(path)] == path]
    if not within:
        return node
    found, treedef = keys.children(node)
    return treedef.unflatten(
        [_replaced((*path, key), child, targets) for key, child in found]
    )


def _fitted(path: Path, node: PyTree, value: PyTree) -> PyTree:
    """Bring what takes the place of arrays into their types, onto their devices."""

    def one(within: Path, old: Any, new: Any) -> Any:
        where = keys.written((*path, *within))
        if is_variable(old) and not is_variable(new):
            return old.replace(_in_place_of(old.get_value(), new, where))
        return _in_place_of(old, new, where)

    structures = [jax.tree.structure(x, is_leaf=_is_whole) for x in (node, value)]
    if structures[0] != structures[1]:
        return value
    return jax.tree_util.tree_map_with_path(one, node, value, is_leaf=_is_whole)


def _is_whole(x: Any) -> bool:
    return codecs.is_encoded(x) or is_variable(x)


def _in_place_of(old: Any, new: Any, where: str) -> Any:
    if not isinstance(old, jax.Array | np.ndarray) or not is_numeric(new):
        return new
    if jnp.shape(new) != old.shape:
        if jnp.shape(new) == ():
            raise checks.InvalidArgument(
                f"set: {where} is an array of shape {old.shape}, and {new} one number: "
                "give an array, or the path of what is meant"
            )
        return new
    if is_differentiable(new) > is_differentiable(old) and not _is_whole_number(new):
        raise checks.InvalidArgument(
            f"set: {where} is of type {old.dtype}, and {new} no integer"
        )
    typed = jnp.asarray(new, old.dtype)
    return typed if isinstance(old, Tracer) else put_like(old, typed)


def _is_whole_number(x: Any) -> bool:
    known = not isinstance(x, Tracer)
    return known and bool(np.all(np.asarray(x) == np.round(np.asarray(x))))


def _encoded_like(node: PyTree, value: PyTree) -> PyTree:
    """Encode what takes the place of encoded arrays, if it is a tree like theirs."""
    same = jax.tree.structure(node, is_leaf=codecs.is_encoded)
    if jax.tree.structure(value, is_leaf=codecs.is_encoded) != same:
        return value
    return codecs.encoded_like(node, value)


def _several(key: Any, found: Found) -> str:
    listed = [_described(path) for path, _ in found]
    return (
        f"{key!r} names {len(found)} things, at {', '.join(listed)}: ask for one of "
        "these paths, or choose by filtering"
    )


def _described(path: Path) -> str:
    text = keys.written(path)
    if path and isinstance(path[-1], keys.NamedTupleKey):
        return f"{text} (that is {str(path[-1])!r})"
    return text


def _none(key: Any, tree: PyTree, filtering: Filter | None) -> str:
    if filtering is not None and get_all_with_path(tree, key):
        return f"nothing that {key!r} names passes the filtering"
    names = {str(keys.plain(path[-1])) for path, _ in _everything((), tree) if path} - {
        str(i) for i in range(99)
    }
    close = difflib.get_close_matches(str(key), sorted(names))
    hint = f": did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"there is nothing that {key!r} names in this tree{hint}"
