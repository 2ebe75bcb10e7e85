"""What a step has to read and write, with what it must read again.

A norm of all gradients is known when all have been read; what is multiplied by it has
them read in another pass. In each pass arrays are computed anew from what is in memory:
the arguments, results that an earlier pass has written, and arrays in between that it
has written because they are less than what they are computed from.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from gradtx.inspection.graph import Node, graph_of

Arrays = dict[int, Node]  # by their identity


def moved(
    f: Callable[..., Any], args: tuple[Any, ...], still: Collection[int] = ()
) -> int:
    """Return the fewest bytes that a function reads and writes.

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
    return _Passes(arrays, numbers).moved + sum(x.nbytes for x in arrays)


class _Passes:
    """The passes over memory, each with the arrays that it reads.

    Args:
      results: the arrays to compute.
      numbers: what is computed besides, in any pass.
    """

    def __init__(self, results: list[Node], numbers: list[Node]) -> None:
        self.passes: defaultdict[int, Arrays] = defaultdict(dict)
        self.written: dict[int, int] = {}  # the pass in which a result is written
        self.kept: Arrays = {}  # what is written for a later pass only
        self.last = max((x.level for x in results), default=0)
        needed = _whole(results)
        for x in sorted(needed.values(), key=lambda x: x.pass_):
            if not x.is_product:
                self._read(x.inputs, x.pass_)
        for x in sorted(results, key=lambda x: x.level):
            self.written[id(x)] = self._place([x], x.level)
        for key, x in _whole(numbers).items():
            if key not in needed:
                self._place(x.inputs, x.pass_)
        self.passes[0] |= self._unread(results)

    @property
    def moved(self) -> int:
        """The bytes that are read, and written to be read later."""
        read = sum(_nbytes(found) for found in self.passes.values())
        return read + _nbytes(self.kept)

    def _unread(self, results: list[Node]) -> Arrays:
        """Return what only products of matrices read, which is read once."""
        read = {key for found in self.passes.values() for key in found}
        return {
            key: x
            for key, x in _reached(results).items()
            if x.is_argument and not x.is_scalar and key not in read
        }

    def _place(self, roots: Sequence[Node], first: int) -> int:
        """Compute something in the pass that has the least to read for it."""
        choices = range(first, max(first, self.last) + 1)
        number = min(choices, key=lambda i: self._more(self._sources(roots, i), i))
        self._read(roots, number)
        return number

    def _read(self, roots: Sequence[Node], number: int) -> None:
        """Read in a pass what something is computed from, or what is kept for it."""
        plain = self._sources(roots, number)
        thrifty = self._thrifty(roots, number) if number else plain
        found = min(plain, thrifty, key=lambda x: self._more(x, number))
        self.kept |= {key: x for key, x in found.items() if self._is_between(x, number)}
        self.passes[number] |= found

    def _more(self, found: Arrays, number: int) -> int:
        """Return the bytes of what is not read in a pass, nor kept for it, by now."""
        known = self.passes[number]
        new = {key: x for key, x in found.items() if key not in known}
        between = {
            key: x
            for key, x in new.items()
            if key not in self.kept and self._is_between(x, number)
        }
        return _nbytes(new) + _nbytes(between)

    def _is_between(self, x: Node, number: int) -> bool:
        """Whether an array is neither given nor a result that is written by then."""
        return not (x.is_argument or self.written.get(id(x), number) < number)

    def _sources(self, roots: Iterable[Node], number: int) -> Arrays:
        """Return the arrays in memory that something is computed from in a pass."""
        found: Arrays = {}

        def within(x: Node) -> Iterable[Node]:
            if not self._is_between(x, number):
                found.update({} if x.is_scalar else {id(x): x})
                return ()
            return () if x.is_whole else x.inputs

        _visit(roots, within)
        return found

    def _thrifty(self, roots: Sequence[Node], number: int) -> Arrays:
        """Return the same, with arrays in between kept where that is less."""
        best: dict[int, Arrays] = {}

        def within(x: Node) -> Iterable[Node]:
            stops = x.is_whole or not self._is_between(x, number)
            return () if stops else x.inputs

        for x in _inputs_first(roots, within):
            if not self._is_between(x, number):
                best[id(x)] = {} if x.is_scalar else {id(x): x}
                continue
            found = _union(best[id(y)] for y in within(x))
            kept = {id(x): x}
            less = self._more(kept, number) < self._more(found, number)
            best[id(x)] = kept if less and self._is_known(x, number) else found
        return _union(best[id(x)] for x in roots)

    def _is_known(self, x: Node, number: int) -> bool:
        """Whether a former pass has read all that an array is computed from."""
        return any(
            self._sources([x], i).keys() <= self.passes[i].keys()
            for i in range(x.scaled, number)
        )


def _nbytes(found: Arrays) -> int:
    return sum(x.nbytes for x in found.values())


def _union(parts: Iterable[Arrays]) -> Arrays:
    found: Arrays = {}
    for part in parts:
        found |= part
    return found


def _whole(roots: Iterable[Node]) -> Arrays:
    """Return what must be known as a whole before the roots are, near and far."""
    return {key: x for key, x in _reached(roots).items() if x.is_whole}


def _reached(roots: Iterable[Node]) -> Arrays:
    """Return all that the roots are computed from, and the roots."""
    found: Arrays = {}

    def within(x: Node) -> Iterable[Node]:
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


def _inputs_first(
    roots: Iterable[Node], within: Callable[[Node], Iterable[Node]]
) -> list[Node]:
    """Return every node once, after what it has within."""
    done: dict[int, Node] = {}
    left = list(roots)
    while left:
        x = left[-1]
        missing = [y for y in within(x) if id(y) not in done]
        left += missing
        if not missing:
            done.setdefault(id(left.pop()), x)
    return list(done.values())
