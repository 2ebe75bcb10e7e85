"""One form of paths for all frameworks, and patterns that choose among them.

A path is written as ``"block/attention/kernel"``: the names and positions from the root
to the leaf with "/" between them, whatever they are keys of. What ``nnx`` of Flax wraps
around an array, ``.value``, is left out.
"""

import difflib
import re
from functools import cache
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.optimizers import naming

Pattern = str | re.Pattern[str]


def path_of(path: Any) -> str:
    """Write a path of :mod:`jax.tree_util` in the form that patterns are matched to."""
    return "/".join(naming.names(path))


def paths_of(tree: PyTree) -> tuple[list[str], Any]:
    """Return the path of every leaf, None being a leaf, and the structure."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=checks.is_none)
    return [path_of(path) for path, _ in leaves], treedef


def finds(pattern: Pattern, path: str) -> bool:
    """Whether a pattern names a path, or something that the path lies within."""
    if isinstance(pattern, str):
        return _as_regex(pattern).match(f"{path}/") is not None
    return pattern.search(path) is not None


def text_of(pattern: Pattern) -> str:
    """Return a pattern as it was written."""
    return pattern if isinstance(pattern, str) else pattern.pattern


def check(patterns: list[Any]) -> None:
    """Refuse what is no pattern, and two patterns of one text."""
    for pattern in patterns:
        if not isinstance(pattern, str | re.Pattern) or not text_of(pattern):
            raise checks.InvalidArgument(
                f'a pattern must be a text such as "**/bias", or re.compile(...), got '
                f"{pattern!r}"
            )
    texts = list(map(text_of, patterns))
    if len(set(texts)) != len(texts):
        raise checks.InvalidArgument(f"the patterns must differ, got {texts}")


def first_found(patterns: list[Pattern], tree: PyTree) -> tuple[list[int | None], Any]:
    """Return for every leaf the number of the first pattern that names it.

    Args:
      patterns: the patterns, in their order.
      tree: the parameters, or any tree of their structure.

    Returns:
      The numbers, None for a leaf that no pattern names, and the structure.

    Raises:
      ValueError: for a pattern that names nothing, with the paths closest to it, or
        nothing that those before it leave.
    """
    paths, treedef = paths_of(tree)
    numbers = [
        next((i for i, x in enumerate(patterns) if finds(x, path)), None)
        for path in paths
    ]
    for i, pattern in enumerate(patterns):
        if i not in numbers:
            raise checks.InvalidArgument(_nothing(pattern, paths))
    return numbers, treedef


@cache
def _as_regex(glob: str) -> re.Pattern[str]:
    parts = glob.strip("/").split("/")
    found = ("(?:[^/]+/)*" if x == "**" else f"{_segment(x)}/" for x in parts)
    return re.compile("".join(found))


def _segment(glob: str) -> str:
    """Translate one name, in which a star stands for what has no "/"."""
    found = re.split(r"(\*|\?|\[!?[^]/]+\])", glob)
    known = {"*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(x) or (x.replace("[!", "[^", 1) if i % 2 else re.escape(x))
        for i, x in enumerate(found)
    )


def _nothing(pattern: Pattern, paths: list[str]) -> str:
    text = text_of(pattern)
    if any(finds(pattern, path) for path in paths):
        return (
            f"the patterns before {text!r} take all that it names: the first pattern "
            "that names a path counts, so put this one before them"
        )
    if paths == [""]:
        return f"{text!r} matches nothing: the parameters are one array, without a path"
    close = closest(text, paths)
    hint = f": the closest are {', '.join(map(repr, close))}" if close else ""
    return f"no path of the parameters matches {text!r}{hint}"


def closest(text: str, paths: list[str]) -> list[str]:
    """Return the paths that a pattern may have meant, and else the first few."""
    bare = re.sub(r"\*\*/|[*?^$\\]", "", text).strip("/")
    ends = {"/".join(path.split("/")[-(bare.count("/") + 1) :]): path for path in paths}
    near = difflib.get_close_matches(bare, list(ends), n=3)
    found = [ends[x] for x in near] or difflib.get_close_matches(bare, paths, n=3)
    return found or paths[:3]
