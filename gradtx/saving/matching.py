"""Which array of an old state goes to which place of a new one."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx.common import checks
from gradtx.saving.addresses import closest
from gradtx.saving.slots import Slot, value_of

Node = tuple[tuple[str, ...], str]  # the path of a named tuple, and its class


class _Old:
    """The old state, of which every array of a parameter is taken once at most."""

    def __init__(self, slots: list[Slot], starts: list[Any]) -> None:
        self.slots, self.starts = slots, starts
        self.by_key: dict[Any, list[int]] = {}
        for i, x in enumerate(slots):
            self.by_key.setdefault((x.name, x.param, x.shape), []).append(i)
        self.taken: set[int | None] = set()

    def free(self, name: str, like: Slot) -> list[int]:
        """Return the numbers of what may be taken for a slot."""
        found = self.by_key.get((name, like.param, like.shape), [])
        return [i for i in found if i not in self.taken]

    def take(self, number: int | None) -> int | None:
        """Note that an array is taken."""
        self.taken |= {number} - {None}
        return number

    def steps(self) -> int | None:
        """Return the number of the outermost count of steps, the first of those."""
        counts = [i for i, x in enumerate(self.slots) if _is_count(x)]
        return min(counts, key=lambda i: len(self.slots[i].node), default=None)


def matched(
    old: list[Slot], new: list[Slot], renamed: Mapping[str, str], starts: list[Any]
) -> list[int | None]:
    """Return for every slot of the new state which old one is taken for it, or None.

    Args:
      old: the slots of the old state.
      new: the slots of the new state, as ``init`` made them.
      renamed: as :func:`gradtx.migrate` takes it.
      starts: the values that the slots of the old state started from.
    """
    _known(renamed, new, "new")
    _known(renamed.values(), old, "old")
    source = _Old(old, starts)
    nodes: dict[Node, list[int]] = {}
    for i, x in enumerate(new):
        nodes.setdefault((x.node, x.owner), []).append(i)
    found: list[int | None] = [None] * len(new)
    for numbers in nodes.values():
        within = [new[i] for i in numbers]
        for i, match in zip(numbers, _one_node(source, within, renamed), strict=True):
            found[i] = match
    return found


def _known(names: Iterable[str], slots: list[Slot], which: str) -> None:
    there = sorted({x.name for x in slots})
    for name in names:
        if name not in there:
            raise checks.InvalidArgument(
                f"renamed: the {which} state has no slot {name!r}"
                f"{closest(name, there)}; it has {', '.join(there)}"
            )


def _one_node(
    old: _Old, within: list[Slot], renamed: Mapping[str, str]
) -> list[int | None]:
    """Match what one named tuple of the new state holds."""
    names = [renamed.get(x.name, x.name) for x in within]
    free = [old.free(name, x) for name, x in zip(names, within, strict=True)]
    of_params = [x.param is not None for x in within]
    node = _best(old, within, [f for f, p in zip(free, of_params, strict=True) if p])
    if node is None and not any(of_params):
        node = _best(old, within, free)
    found: list[int | None] = []
    for x, choices in zip(within, free, strict=True):
        near = [i for i in choices if _node(old.slots[i]) == node]
        if x.param is not None:
            chosen = (near or choices or [None])[0]
        else:
            chosen = _number(old, x, near, node, alone=not any(of_params))
        found.append(old.take(chosen))
    return found


def _best(old: _Old, within: list[Slot], free: list[list[int]]) -> Node | None:
    """Return the named tuple of the old state that has most of what is wanted."""
    votes: dict[Node, int] = {}
    for i in (i for choices in free for i in choices):
        votes[_node(old.slots[i])] = votes.get(_node(old.slots[i]), 0) + 1
    names = _names(within[0].node)
    return max(votes, key=lambda n: (votes[n], _names(n[0]) == names), default=None)


def _names(path: tuple[str, ...]) -> list[str]:
    """Return a path without positions, which change when a link is added."""
    return [x for x in path if not x.isdigit()]


def _node(x: Slot) -> Node:
    return x.node, x.owner


def _number(
    old: _Old, x: Slot, near: list[int], node: Node | None, *, alone: bool
) -> int | None:
    """Return what is taken for a number: a count, a setting, a schedule's state."""
    if not near and node is not None:
        near = [
            i
            for i, y in enumerate(old.slots)
            if _node(y) == node and (y.field, y.shape) == (x.field, x.shape)
        ]
    if near:
        return near[0] if _same(old.starts[near[0]], value_of(x.leaf)) else None
    return old.steps() if alone and node is None and _is_count(x) else None


def _is_count(x: Slot) -> bool:
    whole = jnp.issubdtype(value_of(x.leaf).dtype, jnp.integer)
    return x.param is None and x.field == "count" and x.shape == () and whole


def _same(one: Any, other: Any) -> bool:
    if jnp.issubdtype(jnp.asarray(one).dtype, jnp.number):
        return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)
    return True
