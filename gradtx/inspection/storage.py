"""What each parameter's state takes: by slot and type, from shapes alone."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.codecs import is_encoded
from gradtx.common.leaves import is_array
from gradtx.common.types import Params, PyTree
from gradtx.inspection import paths
from gradtx.tree import keys
from gradtx.tree.params import fits, marks_of
from gradtx.tree.placeholders import SlotPlaceholder, is_placeholder

# The name of a slot and the type that it is kept in.
Kind = tuple[str, str]


class Storage(NamedTuple):
    """The bytes of a state.

    Args:
      by_leaf: for every path of a parameter, the bytes of each of its slots.
      shared: the bytes of what belongs to no single parameter.
    """

    by_leaf: dict[str, Counter[Kind]]
    shared: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.shared + sum(x.total() for x in self.by_leaf.values())


def storage(tx: Any, params: Params) -> Storage:
    """Return what the state of a transformation takes.

    Args:
      tx: a transformation.
      params: the parameters, or their shapes.
    """
    state = jax.eval_shape(tx.init, params)
    by_leaf = {path: Counter[Kind]() for path in paths.leaves(params)}
    for slot, part in _slots(tx, state):
        _add(by_leaf, slot, part)
    own = sum(x.total() for x in by_leaf.values())
    return Storage(by_leaf, nbytes(state) - own)


def arrays_of(params: Params) -> Params:
    """Return parameters, or shapes, with None for what is no array, as a function is.

    So is what cannot be an argument of a compiled step.
    """
    return jax.tree.map(lambda x: x if is_array(x) else None, params)


def nbytes(tree: PyTree) -> int:
    """Return the bytes of all arrays of a tree, or of those that have such shapes."""
    return sum(map(_one, jax.tree.leaves(tree)))


def _one(x: Any) -> int:
    if not is_array(x):
        return 0
    kind = getattr(x, "dtype", None)
    kind = jnp.result_type(x) if kind is None else kind
    return _bits(kind) * entries(x) // 8


def entries(x: Any) -> int:
    """Return how many numbers there are in an array, or in one of such a shape."""
    return getattr(x, "size", 1)


def _bits(kind: Any) -> int:
    """Return the bits of a type, of which some have less than a byte."""
    if jnp.issubdtype(kind, jnp.integer):
        return jnp.iinfo(kind).bits
    return 8 * kind.itemsize


def _slots(tx: Any, state: PyTree) -> Iterator[tuple[str, PyTree]]:
    """Yield what there is for every parameter; nothing where ``init`` cannot say."""
    try:
        marks = marks_of(tx, state, SlotPlaceholder())
    except (TypeError, ValueError, AttributeError, LookupError):
        return
    if not fits(marks, state):
        return
    found, treedef = jax.tree_util.tree_flatten_with_path(marks, is_leaf=is_placeholder)
    for (path, mark), part in zip(found, treedef.flatten_up_to(state), strict=True):
        if is_placeholder(mark):
            yield _slot(path), part


def _slot(path: keys.Path) -> str:
    """Name a slot by the last field that leads to it."""
    names = [key.name for key in path if hasattr(key, "name")]
    return names[-1] if names else "state"


def _add(by_leaf: dict[str, Counter[Kind]], slot: str, part: PyTree) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(part, is_leaf=is_encoded)
    for path, x in leaves:
        around = [paths.text(path[:i]) for i in range(len(path), -1, -1)]
        owner = next((name for name in around if name in by_leaf), None)
        if owner is not None:
            by_leaf[owner][slot, _type(x)] += nbytes(x)


def _type(x: Any) -> str:
    return repr(x.codec) if is_encoded(x) else str(x.dtype)
