"""Count what the computations of a compiled program read, write and launch."""

import re
from collections.abc import Callable
from operator import add, attrgetter
from typing import Any, NamedTuple

from benchmarks.audit.hlo import Computation, Instruction, nbytes

# What transfers nothing: names for values that are in some memory already.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("after-all", "add-dependency", "opt-barrier", "partition-id", "replica-id"),
}
FREE_CALL = re.compile(r'target="(AllocateBuffer|\w*Bitcast|\w*InBound|Sharding)"')
# Where an instruction names the computations that it runs.
CALLS = {
    "call": ("to_apply",),
    "async-start": ("calls",),
    "conditional": ("branch_computations", "true_computation", "false_computation"),
}
# What reads of its first operand only as much as it returns.
SLICES = {"slice", "dynamic-slice", "gather"}
MOVED = attrgetter("moved")


class Work(NamedTuple):
    """What is done on one way through a program; of two parts it is the sum."""

    read: float = 0.0  # bytes, of the device's main memory
    written: float = 0.0
    kernels: float = 0.0  # fusions, copies, calls of libraries; each round of a loop

    @property
    def moved(self) -> float:
        """Bytes read and written."""
        return self.read + self.written

    def __add__(self, other: Any) -> "Work":
        return Work(*map(add, self, other))

    def times(self, rounds: float) -> "Work":
        """Return the work of so many rounds."""
        return Work(*(rounds * x for x in self))


class Cost(NamedTuple):
    """What a computation does, by the way that it takes at its conditionals."""

    least: Work = Work()  # where every choice falls on what moves least
    most: Work = Work()
    # One round of each loop of unknown rounds outside of conditionals: it may be left
    # out, as where a loop stands for something that is done in some steps only.
    maybe: "tuple[Cost, ...]" = ()

    def __add__(self, other: Any) -> "Cost":
        pairs: Any = zip(self, other, strict=True)
        return Cost(*(x + y for x, y in pairs))

    def times(self, rounds: float) -> "Cost":
        """Return the cost of so many rounds, with the same choices at every one."""
        maybe = tuple(loop.times(rounds) for loop in self.maybe)
        return Cost(self.least.times(rounds), self.most.times(rounds), maybe)

    def one_loop(self, pick: Callable[..., Work]) -> Work:
        """Return the work where just one of the open loops runs: ``min`` or ``max``.

        So it is where one stands for what is done if a condition holds, and the other
        for what is done if it does not.
        """
        rounds = [loop.least if pick is min else loop.most for loop in self.maybe]
        return self.least + pick(rounds, key=MOVED)


def cost_of(computation: Computation) -> Cost:
    """Return what a program does, by its entry, or one of its computations."""
    return sum(map(_cost, computation.values()), Cost())


def _cost(x: Instruction) -> Cost:
    named = x.opcode in FREE or x.opcode.endswith(("-done", "-update"))
    if named or (x.opcode == "custom-call" and FREE_CALL.search(x.attributes)):
        return Cost()
    if x.opcode == "while":
        return _loop(x)
    branches = [cost_of(way) for way in x.called(*CALLS.get(x.opcode, ()))]
    if not branches:
        values = dict.fromkeys(x.operands)
        read = sum(min(nbytes(v.kind, far=True), _taken(x, v)) for v in values)
        work = Work(read, _written(x), kernels=1)
        return Cost(work, work)
    if len(branches) == 1:
        return branches[0]
    least = min((branch.least for branch in branches), key=MOVED)
    return Cost(least, max((branch.most for branch in branches), key=MOVED))


def _loop(x: Instruction) -> Cost:
    condition, body = map(cost_of, x.called("condition", "body"))
    if x.trips is not None:
        return condition + body.times(x.trips)
    return condition + Cost(Work(), max(Work(), body.most, key=MOVED), (body,))


def _taken(x: Instruction, value: Instruction) -> float:
    """Return how many bytes of an operand an instruction reads."""
    if x.opcode == "bitcast":  # in a fusion, where what reads it counts
        return _used(x)
    if x.opcode == "fusion":
        (inside,) = x.called("calls")
        places = [i for i, operand in enumerate(x.operands) if operand is value]
        return sum(_used(inside.parameters[str(i)]) for i in places)
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
    changed = value.opcode == "dynamic-update-slice"
    return nbytes(value.operands[1].kind if changed else value.kind)


def _result(x: Instruction) -> str:
    """Return the type of what is computed: a start's type holds more than that."""
    if not x.opcode.endswith("-start") or not x.kind.startswith("("):
        return x.kind
    return x.parts[0] if x.opcode == "copy-start" else x.parts[1]
