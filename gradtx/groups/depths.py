"""How deep in a model every parameter stands, by its path."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.groups import paths
from gradtx.optimizers import naming

# A name with a number at its end, or a number alone: "layers_3", "h12", "3".
_NUMBERED = re.compile(r"(.*?)_?(\d+)$")


class _Place(NamedTuple):
    stack: str  # the path up to a number
    number: int


def depths(depth: Any, tree: PyTree) -> tuple[list[int], Any]:
    """Return the depth of every leaf, from 0 at the input, and the structure.

    Args:
      depth: as :func:`gradtx.layer_decay` takes it.
      tree: the parameters, or any tree of their structure.
    """
    names, treedef = paths.paths_of(tree)
    if callable(depth):
        return [_whole(depth, name) for name in names], treedef
    if depth is None:
        return _by_numbers(names), treedef
    return _by_patterns(depth, names, tree), treedef


def _whole(depth: Callable[[str], Any], name: str) -> int:
    found = depth(name)
    if not isinstance(found, int):
        raise checks.InvalidArgument(
            f"depth({name!r}) must be a whole number, got {found!r}"
        )
    return found


def _by_patterns(
    depth: Sequence[tuple[paths.Pattern, int]], names: list[str], tree: PyTree
) -> list[int]:
    pairs = list(depth)
    paths.check([pattern for pattern, _ in pairs])
    numbers, _ = paths.first_found([pattern for pattern, _ in pairs], tree)
    for name, i in zip(names, numbers, strict=True):
        if i is None:
            raise checks.InvalidArgument(
                f"no pattern of depth matches {name!r}: add one, such as '**' at the "
                "end for all the rest"
            )
    return [pairs[i][1] for i in numbers if i is not None]


def _by_numbers(names: list[str]) -> list[int]:
    """Number the layers: embeddings 0, the layer k that is k + 1, all the rest last."""
    places = [_places(name) for name in _from_zero(names)]
    stack = _longest_stack(places, names)
    found = [next((x.number for x in p if x.stack == stack), None) for p in places]
    known = sorted({x for x in found if x is not None})
    order = {number: i + 1 for i, number in enumerate(known)}
    last = len(known) + 1
    return [
        order[x] if x is not None else 0 if _is_input(name) else last
        for x, name in zip(found, names, strict=True)
    ]


def _from_zero(names: list[str]) -> list[str]:
    """Give the first of several a number too: Haiku has "linear" before "linear_1"."""
    every = [name.split("/") for name in names]
    known = {"/".join(parts[:i]) for parts in every for i in range(len(parts) + 1)}

    def numbered(parts: list[str], i: int) -> str:
        here = "/".join(parts[: i + 1])
        first = f"{here}_1" in known and f"{here}_0" not in known
        return f"{parts[i]}_0" if first else parts[i]

    return ["/".join(numbered(x, i) for i in range(len(x))) for x in every]


def _places(name: str) -> list[_Place]:
    """Return every number of a path, with what comes before it."""
    parts = name.split("/")
    found = [(i, _NUMBERED.match(part)) for i, part in enumerate(parts)]
    return [
        _Place("/".join([*parts[:i], match[1]]), int(match[2]))
        for i, match in found
        if match
    ]


def _longest_stack(places: list[list[_Place]], names: list[str]) -> str:
    """Return what most numbers are of: the layers."""
    numbers: dict[str, set[int]] = {}
    for place in (place for found in places for place in found):
        numbers.setdefault(place.stack, set()).add(place.number)
    most = max(map(len, numbers.values()), default=0)
    stacks = [stack for stack, found in numbers.items() if len(found) == most]
    if most > 1 and len(stacks) == 1:
        return stacks[0]
    several = f"{', '.join(map(repr, stacks))} have as many layers each"
    why = several if most > 1 else f"no numbered layers are in {', '.join(names[:3])}"
    raise checks.InvalidArgument(
        f"the depths cannot be told by the paths: {why}. Give depth, a function from "
        "a path such as 'block_3/kernel' to a whole number, or a mapping from patterns"
    )


def _is_input(name: str) -> bool:
    parts = name.split("/")
    return naming.says(parts) == "embedding" or naming.says_small(parts) == "input"
