"""The paths of parameters as text, the same for every framework."""

import jax

from gradtx.common.types import PyTree
from gradtx.groups.paths import path_of
from gradtx.tree.keys import Path


def text(path: Path) -> str:
    """Write a path as names with slashes between them.

    What wraps the array itself, such as the ``value`` of Flax's ``nnx``, is left out.
    """
    return path_of(path) or "(the whole tree)"


def leaves(tree: PyTree) -> dict[str, jax.Array]:
    """Return the leaves of a tree by their paths."""
    return {text(path): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def pattern(some: list[str], every: list[str]) -> str:
    """Describe some paths of a tree: by how they end, begin, or one by one.

    Args:
      some: the paths that are meant, at least one.
      every: all paths of the tree.
    """
    if len(some) == 1:
        return some[0]
    if len(some) == len(every):
        return "**"
    others = [x for x in every if x not in set(some)]
    found = []
    for i, form in ((-1, "**/{}"), (0, "{}/**")):
        names = list(dict.fromkeys(x.split("/")[i] for x in some))
        exact = not any(x.split("/")[i] in names for x in others)
        if exact and len(names) <= _MOST and all("/" in x for x in some):
            found.append(list(map(form.format, names)))
    if found:
        return ", ".join(min(found, key=len))
    listed = some[:_MOST]
    rest = f" and {len(some) - _MOST} more" if len(some) > _MOST else ""
    return ", ".join(listed) + rest


_MOST = 4
