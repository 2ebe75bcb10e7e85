"""What a step has to read and write, with what it must read again.

A norm of all gradients is known when all have been read; what is multiplied by it has
them read in another pass. In each pass arrays are computed anew from what is in memory:
the arguments, and results that an earlier pass has written.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from gradtx.inspection.graph import Node, graph_of

Arrays = dict[int, Node]  # by their identity


def moved(
    f: Callable[..., Any], args: tuple[Any, ...], still: Collection[int] = ()
) -> int:
    """Return the bytes that a function reads and writes if it keeps nothing else.

    Arrays of one number are not counted, nor results that are as they came.

    Args:
      f: a function of arrays whose results take the places of its first arguments, leaf
        by leaf.
      args: its arguments, or their shapes.
      still: the numbers of results that are known to be as they came.
    """
    start, results = graph_of(f, *args)
    pairs = enumerate(zip(results, start, strict=False))
    new = [x for i, (x, old) in pairs if x is not old and i not in still]
    arrays = [x for x in new if not x.is_scalar]
    numbers = [x for x in new if x.is_scalar]
    return _Passes(arrays, numbers).read + sum(x.nbytes for x in arrays)


class _Passes:
    """The passes over memory, each with the arrays that it reads.

    Args:
      results: the arrays to compute.
      numbers: what is computed besides, in any pass.
    """

    def __init__(self, results: list[Node], numbers: list[Node]) -> None:
        self.passes: defaultdict[int, Arrays] = defaultdict(dict)
        self.written: dict[int, int] = {}  # the pass in which a result is written
        self.last = max((x.level for x in results), default=0)
        needed = _whole(results)
        for x in needed.values():
            self.passes[x.level - 1] |= self._sources(x.inputs, x.level - 1)
        for x in sorted(results, key=lambda x: x.level):
            self.written[id(x)] = self._place([x], x.level)
        for key, x in _whole(numbers).items():
            if key not in needed:
                self._place(x.inputs, x.level - 1)

    @property
    def read(self) -> int:
        """The bytes that are read."""
        return sum(x.nbytes for found in self.passes.values() for x in found.values())

    def _place(self, roots: Iterable[Node], first: int) -> int:
        """Compute something in the pass that has the least to read for it."""
        choices = range(first, max(first, self.last) + 1)
        number = min(choices, key=lambda i: self._more(roots, i))
        self.passes[number] |= self._sources(roots, number)
        return number

    def _more(self, roots: Iterable[Node], number: int) -> int:
        known = self.passes[number]
        found = self._sources(roots, number)
        return sum(x.nbytes for key, x in found.items() if key not in known)

    def _sources(self, roots: Iterable[Node], number: int) -> Arrays:
        """Return the arrays in memory that something is computed from in a pass."""
        found: Arrays = {}

        def within(x: Node) -> Iterable[Node]:
            if x.is_argument or self.written.get(id(x), number) < number:
                found.update({} if x.is_scalar else {id(x): x})
                return ()
            return () if x.is_whole else x.inputs

        _visit(roots, within)
        return found


def _whole(roots: Iterable[Node]) -> Arrays:
    """Return what must be known as a whole before the roots are, near and far."""
    found: Arrays = {}

    def within(x: Node) -> Iterable[Node]:
        if x.is_whole:
            found[id(x)] = x
        return x.inputs

    _visit(roots, within)
    return found


def _visit(roots: Iterable[Node], within: Callable[[Node], Iterable[Node]]) -> None:
    """Come to every node once, from the roots to what each has within."""
    seen: set[int] = set()
    left = list(roots)
    while left:
        x = left.pop()
        if id(x) not in seen:
            seen.add(id(x))
            left += within(x)
