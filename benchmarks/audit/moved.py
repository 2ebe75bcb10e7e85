"""Count what the computations of a compiled program read, write and launch."""

import re
from collections.abc import Callable
from operator import attrgetter
from typing import NamedTuple

from benchmarks.audit.hlo import Computation, Instruction, nbytes

# What transfers nothing: names for values that are in some memory already.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("after-all", "add-dependency", "opt-barrier", "partition-id", "replica-id"),
}
FREE_CALL = re.compile(r'target="(AllocateBuffer|AssumeGatherIndicesInBound|Sharding)"')
# Where an instruction names the computations that it runs.
CALLS = {
    "call": ("to_apply",),
    "async-start": ("calls",),
    "conditional": ("branch_computations", "true_computation", "false_computation"),
}
# What reads of its first operand only as much as it returns.
SLICES = {"slice", "dynamic-slice", "gather"}


class Work(NamedTuple):
    """What is done on one way through a program."""

    read: float = 0.0
    """Bytes, of the device's main memory."""
    written: float = 0.0
    kernels: float = 0.0
    """Launches: fusions, copies, calls of libraries, loops' rounds each counted."""

    @property
    def moved(self) -> float:
        """Bytes read and written."""
        return self.read + self.written

    def plus(self, other: "Work") -> "Work":
        """Return the work of one after the other."""
        return Work(*(x + y for x, y in zip(self, other, strict=True)))

    def times(self, rounds: float) -> "Work":
        """Return the work of so many rounds."""
        return Work(*(rounds * x for x in self))


MOVED = attrgetter("moved")


class Cost(NamedTuple):
    """What a computation does, by the way that it takes at its conditionals."""

    least: Work = Work()
    """Where every choice falls on what moves least."""
    most: Work = Work()
    loops: int = 0
    """While-loops outside of conditionals."""
    open: int = 0
    """Loops whose number of rounds is not known, wherever they stand."""
    maybe: "tuple[Cost, ...]" = ()
    """Of each of those outside of conditionals, one round: it may be left out, as where
    a loop stands for something that is done in some steps only."""

    def plus(self, other: "Cost") -> "Cost":
        """Return the cost of one after the other."""
        works = self.least.plus(other.least), self.most.plus(other.most)
        counts = self.loops + other.loops, self.open + other.open
        return Cost(*works, *counts, self.maybe + other.maybe)

    def times(self, rounds: float) -> "Cost":
        """Return the cost of so many rounds, with the same choices at every one."""
        works = self.least.times(rounds), self.most.times(rounds)
        maybe = tuple(loop.times(rounds) for loop in self.maybe)
        return Cost(*works, self.loops, self.open, maybe)

    def one_loop(self, pick: Callable[..., Work]) -> Work:
        """Return the work where just one of the open loops runs: ``min`` or ``max``.

        So it is where one stands for what is done if a condition holds, and the other
        for what is done if it does not.
        """
        rounds = [loop.least if pick is min else loop.most for loop in self.maybe]
        return self.least.plus(pick(rounds, key=MOVED))


def cost_of(computation: Computation) -> Cost:
    """Return what a program does, by its entry, or one of its computations."""
    total = Cost()
    for x in computation.instructions.values():
        total = total.plus(_cost(x))
    return total


def _cost(x: Instruction) -> Cost:
    named = x.opcode in FREE or x.opcode.endswith(("-done", "-update"))
    if named or (x.opcode == "custom-call" and FREE_CALL.search(x.attributes)):
        return Cost()
    if x.opcode == "while":
        return _loop(x)
    branches = [cost_of(way) for way in x.called(*CALLS.get(x.opcode, ()))]
    if not branches:
        work = Work(_read(x), _written(x), kernels=1)
        return Cost(work, work)
    if len(branches) == 1:
        return branches[0]
    return Cost(
        min((branch.least for branch in branches), key=MOVED),
        max((branch.most for branch in branches), key=MOVED),
        open=sum(branch.open for branch in branches),
    )


def _loop(x: Instruction) -> Cost:
    condition, body = map(cost_of, x.called("condition", "body"))
    if x.trips is None:
        most = max(Work(), body.most, key=MOVED)
        rounds = Cost(Work(), most, body.loops, body.open + 1, (body,))
    else:
        rounds = body.times(x.trips)
    return condition.plus(rounds).plus(Cost(loops=1))


# --- one instruction ---------------------------------------------------------


def _read(x: Instruction) -> float:
    """Return how many bytes of its operands an instruction reads of main memory."""
    values = dict.fromkeys(x.operands)
    return sum(min(nbytes(v.kind, far=True), _taken(x, v)) for v in values)


def _taken(x: Instruction, value: Instruction) -> float:
    """Return how many bytes of an operand an instruction reads."""
    if x.opcode == "bitcast":  # in a fusion, where what reads it counts
        return _used(x)
    if x.opcode == "fusion":
        (inside,) = x.called("calls")
        places = [i for i, operand in enumerate(x.operands) if operand is value]
        return sum(_used(inside.parameter(i)) for i in places)
    opcode = x.opcode.removesuffix("-start") if x.operands[0] is value else ""
    if opcode in SLICES:
        return nbytes(_result(x))
    # What a dynamic-update-slice changes is written in place.
    return 0 if opcode == "dynamic-update-slice" else nbytes(value.kind)


def _used(value: Instruction) -> float:
    """Return how many bytes of a value in a fusion are read."""
    return sum(_taken(user, value) for user in value.users)


def _written(x: Instruction) -> float:
    """Return how many bytes of results are written to main memory."""
    parts, values = [_result(x)], [x]
    if x.opcode == "fusion":
        (inside,) = x.called("calls")
        root = inside.root or x
        parts, values = x.parts, root.operands if root.opcode == "tuple" else [root]
    if len(parts) != len(values):
        return nbytes(x.kind, far=True)
    pairs = zip(parts, values, strict=True)
    return sum(min(nbytes(part, far=True), _new(value)) for part, value in pairs)


def _new(value: Instruction) -> float:
    """Return how many bytes of a value are not those that stood there before."""
    if value.opcode == "bitcast":
        return _new(value.operands[0])
    if value.opcode == "dynamic-update-slice":
        return nbytes(value.operands[1].kind)
    return nbytes(value.kind)


def _result(x: Instruction) -> str:
    """Return the type of what is computed: a start's type holds more than that."""
    if not x.opcode.endswith("-start") or not x.kind.startswith("("):
        return x.kind
    return x.parts[0] if x.opcode == "copy-start" else x.parts[1]
