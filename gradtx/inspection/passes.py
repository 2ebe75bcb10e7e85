"""What a step has to read and write, with what it must read again.

A norm of all gradients is known when all have been read; what is multiplied by it has
them read in another pass. In each pass arrays are computed anew from what is in memory:
the arguments, results that an earlier pass has written, and arrays in between that it
has written because they are less than what they are computed from.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from gradtx.inspection.graph import graph_of
from gradtx.inspection.nodes import Node

Arrays = dict[int, Node]  # by their identity


def moved(program: Any, still: Collection[int] = ()) -> int:
    """Return the fewest bytes that a function reads and writes.

    Arrays of one number are not counted, nor results that are as they came.

    Args:
      program: the equations of a function of arrays, as ``jax.make_jaxpr`` returns
        them, whose results take the places of its first arguments, leaf by leaf.
      still: the numbers of results that are known to be as they came.
    """
    start, results = graph_of(program)
    pairs = enumerate(zip(results, start, strict=False))
    new = [x for i, (x, old) in pairs if x is not old and i not in still]
    arrays = [x for x in new if not x.is_scalar]
    numbers = [x for x in new if x.is_scalar]
    given = {id(x) for x in start}
    written = sum(x.written if id(x.replaces) in given else x.nbytes for x in arrays)
    first = _Passes(arrays, numbers)
    again = _Passes(arrays, numbers, first.written)
    return min(first.moved, again.moved) + written


class _Passes:
    """The passes over memory, each with the arrays that it reads.

    Args:
      results: the arrays to compute.
      numbers: what is computed besides, in any pass.
      written: the passes in which results are written; as is least, if None.
    """

    def __init__(
        self,
        results: list[Node],
        numbers: list[Node],
        written: dict[int, int] | None = None,
    ) -> None:
        self.passes: defaultdict[int, Arrays] = defaultdict(dict)
        self.written = dict(written or {})  # the pass in which a result is written
        self.kept: Arrays = {}  # what is written for a later pass only
        self.last = max((x.level for x in results), default=0)
        needed = _whole(results)
        latest = _latest(results, self.last - 1)
        for x in sorted(
            (x for x in needed.values() if not x.is_product),
            key=lambda x: (latest[id(x)] - x.pass_, x.pass_),
        ):
            self._place(x.inputs, x.pass_, latest[id(x)])
        for x in sorted(results, key=lambda x: x.level):
            if id(x) in self.written:
                self._read([x], self.written[id(x)])
            else:
                self.written[id(x)] = self._place([x], x.level, self.last)
        for key, x in _whole(numbers).items():
            if key not in needed:
                self._place(x.inputs, x.pass_, self.last)
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

    def _place(self, roots: Sequence[Node], first: int, last: int) -> int:
        """Compute something in the pass that has the least to read for it."""
        number = first
        if last > first:
            choices = range(first, last + 1)
            number = min(choices, key=lambda i: self._more(self._sources(roots, i), i))
        self._read(roots, number)
        return number

    def _read(self, roots: Sequence[Node], number: int) -> None:
        """Read in a pass what something is computed from, or what is kept for it."""
        found = self._sources(roots, number)
        direct = {id(y) for x in roots for y in (x, *x.inputs)}
        if number and found.keys() - self.passes[number].keys() - direct:
            thrifty = self._thrifty(roots, number)
            found = min(found, thrifty, key=lambda x: self._more(x, number))
        self.kept |= {key: x for key, x in found.items() if self._is_between(x, number)}
        self.passes[number] |= found

    def _more(self, found: Arrays, number: int) -> int:
        """Return the bytes of what is not read in a pass, nor kept for it, by now."""
        known = self.passes[number]
        new = {
            key: x
            for key, x in found.items()
            if key not in known and id(x.rest_of) not in known
        }
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
            if _is_free(x, number):
                return ()
            if not self._is_between(x, number):
                found[id(x)] = x
                return ()
            return () if x.is_whole else x.inputs

        _visit(roots, within)
        return found

    def _thrifty(self, roots: Sequence[Node], number: int) -> Arrays:
        """Return the same, with arrays in between kept where that is less."""
        best: dict[int, Arrays] = {}

        def within(x: Node) -> Iterable[Node]:
            stops = x.is_whole or _is_free(x, number)
            return x.inputs if not stops and self._is_between(x, number) else ()

        for x in _inputs_first(roots, within):
            if _is_free(x, number) or not self._is_between(x, number):
                best[id(x)] = {} if _is_free(x, number) else {id(x): x}
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


def _is_free(x: Node, number: int) -> bool:
    """Whether a pass has an array without reading it: a number, or a product's own."""
    return x.is_factor or (x.is_operand and x.level < number)


def _nbytes(found: Arrays) -> int:
    return sum(x.nbytes for x in found.values() if id(x.rest_of) not in found)


def _union(parts: Iterable[Arrays]) -> Arrays:
    found: Arrays = {}
    for part in parts:
        found |= part
    return found


def _whole(roots: Iterable[Node]) -> Arrays:
    """Return what must be known as a whole before the roots are, near and far."""
    return {key: x for key, x in _reached(roots).items() if x.is_whole}


def _latest(results: Iterable[Node], last: int) -> dict[int, int]:
    """Return the last pass in which something can be found, for what comes after it."""
    latest: defaultdict[int, int] = defaultdict(lambda: last)
    for y in reversed(_inputs_first(results, lambda x: x.inputs)):
        end = latest[id(y)]
        # A sum that takes a factor out lets it come later; any number near is a scale.
        if y.is_whole and y.pass_ == max(x.level for x in y.inputs):
            end = min(end, y.pass_ - 1)
        for x in y.inputs:
            latest[id(x)] = min(latest[id(x)], last if x.is_scale else end)
    return latest


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
