"""How one finds one's way in a state: keys, paths, and what they name."""

from dataclasses import dataclass
from typing import Any

import jax

from gradtx.common.types import PyTree

Path = tuple[Any, ...]

_POSITIONS = (jax.tree_util.SequenceKey, jax.tree_util.FlattenedIndexKey)


@dataclass(frozen=True)
class NamedTupleKey:
    """The step of a path into a field of a named tuple.

    Args:
      tuple_name: the name of the tuple's class.
      name: the name of the field.

    Example:
      >>> state = gradtx.adam(0.1).init(jnp.ones(2))
      >>> ((path, _),) = gradtx.tree.get_all_with_path(state, "mu")
      >>> print(path[-1])
      ScaleByAdamState.mu
    """

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


def children(node: PyTree) -> tuple[list[tuple[Any, PyTree]], Any]:
    """Return what a node holds, each with its key, and how to put it together again."""
    pairs, treedef = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda x: x is not node
    )
    found = [(_named(node, path[0]), child) for path, child in pairs if path]
    return found, treedef


def _named(node: PyTree, key: Any) -> Any:
    if is_named_tuple(node):
        return NamedTupleKey(type(node).__name__, key.name)
    return key


def is_named_tuple(node: Any) -> bool:
    """Whether a node is a tuple with named fields."""
    return isinstance(node, tuple) and hasattr(node, "_fields")


def plain(entry: Any) -> Any:
    """Return what one would index with: 0, "mu", any key of a dictionary."""
    for attribute in ("name", "key", "idx"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return str(entry)


def written(path: Path) -> str:
    """Write a path in a form by which it can be asked for."""
    plainly = tuple(plain(entry) for entry in path)
    names = [str(x) for x in plainly]
    if any("/" in name or not name for name in names):
        return repr(plainly)
    return repr("/".join(names) if len(names) > 1 else f"/{''.join(names)}")


def is_named(key: Any, path: Path, node: PyTree) -> bool:
    """Whether a node is known by a name: its field, its key, its class, or both."""
    if is_named_tuple(node) and type(node).__name__ == key:
        return True
    if not path or isinstance(path[-1], _POSITIONS):
        return False
    entry = path[-1]
    if isinstance(entry, NamedTupleKey) and str(entry) == key:
        return True
    return _equal(plain(entry), key)


def is_at(key: Any, path: Path) -> bool:
    """Whether a path is the one that a key spells out from the root."""
    if isinstance(key, tuple):
        return len(key) == len(path) and all(
            _equal(plain(entry), part) for entry, part in zip(path, key, strict=True)
        )
    parts = [part for part in key.split("/") if part]
    return len(parts) == len(path) and all(
        part in (str(plain(entry)), str(entry))
        for entry, part in zip(path, parts, strict=True)
    )


def is_path(key: Any) -> bool:
    """Whether a key can spell out a path."""
    return isinstance(key, tuple) or (isinstance(key, str) and "/" in key)


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
