"""Count what the computations of a compiled program read, write and launch."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.audit.hlo import Computation, Instruction, Module, nbytes

# What transfers nothing: names for values that are in some memory already.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("after-all", "add-dependency", "opt-barrier", "partition-id", "replica-id"),
}
FREE_TARGETS = ("AllocateBuffer", "AssumeGatherIndicesInBound", "Sharding")
# Where an instruction names the computations that it runs.
CALLS = {
    "fusion": ("calls",),
    "call": ("to_apply",),
    "async-start": ("calls",),
    "conditional": ("branch_computations", "true_computation", "false_computation"),
}
# What reads of its first operand only as much as it returns.
SLICES = {"slice", "dynamic-slice", "gather"}
TRIPS = re.compile(r'"known_trip_count":\s*\{\s*"n":\s*"?(\d+)"?')
TARGET = re.compile(r'custom_call_target="([^"]*)"')


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


@dataclass
class Cost:
    """What a computation does, by the way that it takes at its conditionals."""

    least: Work = field(default_factory=Work)
    """Where every choice falls on what moves least."""
    most: Work = field(default_factory=Work)
    loops: int = 0
    """While-loops outside of conditionals."""
    open: int = 0
    """Loops whose number of rounds is not known, wherever they stand."""
    maybe: "tuple[Cost, ...]" = ()
    """Of each of those outside of conditionals, one round: it may be left out, as where
    a loop stands for something that is done in some steps only."""

    def plus(self, other: "Cost") -> "Cost":
        """Return the cost of one after the other."""
        return Cost(
            *(self.least.plus(other.least), self.most.plus(other.most)),
            *(self.loops + other.loops, self.open + other.open),
            self.maybe + other.maybe,
        )

    def times(self, rounds: float) -> "Cost":
        """Return the cost of so many rounds, with the same choices at every one."""
        return Cost(
            *(self.least.times(rounds), self.most.times(rounds)),
            *(self.loops, self.open),
            tuple(loop.times(rounds) for loop in self.maybe),
        )

    def one_loop(self, pick: Callable[..., Work]) -> Work:
        """Return the work where just one of the open loops runs: ``min`` or ``max``.

        So it is where one stands for what is done if a condition holds, and the other
        for what is done if it does not.
        """
        rounds = [loop.least if pick is min else loop.most for loop in self.maybe]
        return self.least.plus(pick(rounds, key=_moved))


def _moved(work: Work) -> float:
    return work.moved


def cost_of(module: Module, computation: Computation | None = None) -> Cost:
    """Return what a program does, or one of its computations."""
    around, total = computation or module.entry, Cost()
    for instruction in around.instructions.values():
        total = total.plus(_instruction(module, around, instruction))
    return total


def _instruction(module: Module, around: Computation, x: Instruction) -> Cost:
    if _is_free(x):
        return Cost()
    if x.opcode == "while":
        return _loop(module, x)
    names = x.called(*CALLS.get(x.opcode, ()))
    inside = [module.computations[name] for name in names]
    if x.opcode == "fusion" or not inside:
        work = _work(module, around, x, *inside)
        return Cost(work, work)
    branches = [cost_of(module, one) for one in inside]
    if len(branches) == 1:
        return branches[0]
    return Cost(
        min((branch.least for branch in branches), key=_moved),
        max((branch.most for branch in branches), key=_moved),
        open=sum(branch.open for branch in branches),
    )


def _is_free(x: Instruction) -> bool:
    if x.opcode == "custom-call":
        target = TARGET.search(x.attributes)
        return bool(target) and target[1] in FREE_TARGETS
    return x.opcode in FREE or x.opcode.endswith(("-done", "-update"))


def _loop(module: Module, x: Instruction) -> Cost:
    trips = TRIPS.search(x.attributes)
    condition, body = (
        cost_of(module, module.computations[x.called(name)[0]])
        for name in ("condition", "body")
    )
    if trips:
        rounds = body.times(int(trips[1]))
    else:
        most = max(Work(), body.most, key=_moved)
        rounds = Cost(Work(), most, body.loops, body.open + 1, (body,))
    return condition.plus(rounds).plus(Cost(loops=1))


# --- one instruction ---------------------------------------------------------


def _work(
    module: Module,
    around: Computation,
    x: Instruction,
    inside: Computation | None = None,
) -> Work:
    """Return what an instruction does, or a fusion of those inside."""
    used = dict.fromkeys(x.operands, 0.0)
    for place, name in enumerate(x.operands):
        if inside:
            used[name] += _used(module, inside, inside.parameter(place))
        else:
            used[name] = _taken(x, around.instructions[name])
    read = sum(
        min(nbytes(around.instructions[name].kind, far=True), count)
        for name, count in used.items()
    )
    return Work(read, _written(around, x, inside), kernels=1)


def _taken(x: Instruction, value: Instruction) -> float:
    """Return how many bytes of an operand an instruction reads."""
    opcode = x.opcode.removesuffix("-start")
    if x.operands[0] == value.name and opcode in SLICES:
        return nbytes(_result(x))
    if x.operands[0] == value.name and opcode == "dynamic-update-slice":
        return 0  # it is written in place
    return nbytes(value.kind)


def _used(module: Module, inside: Computation, value: Instruction) -> float:
    """Return how many bytes of a value in a fusion are read."""
    total = 0.0
    for user in inside.users(value.name):
        if user.opcode == "bitcast":
            total += _used(module, inside, user)
        elif user.opcode == "fusion":
            within = module.computations[user.called("calls")[0]]
            for place, operand in enumerate(user.operands):
                if operand == value.name:
                    total += _used(module, within, within.parameter(place))
        else:
            total += _taken(user, value)
    return total


def _written(around: Computation, x: Instruction, inside: Computation | None) -> float:
    """Return how many bytes of results are written to main memory."""
    parts, where, names = [_result(x)], around, (x.name,)
    if inside:
        root = inside.instructions[inside.root]
        names = root.operands if root.opcode == "tuple" else (root.name,)
        parts, where = x.parts, inside
    if len(parts) != len(names):
        return nbytes(x.kind, far=True)
    return sum(
        min(nbytes(part, far=True), _new(where, where.instructions[name]))
        for part, name in zip(parts, names, strict=True)
    )


def _new(inside: Computation, value: Instruction) -> float:
    """Return how many bytes of a value are not those that stood there before."""
    if value.opcode == "bitcast":
        return _new(inside, inside.instructions[value.operands[0]])
    if value.opcode == "dynamic-update-slice":
        return nbytes(inside.instructions[value.operands[1]].kind)
    return nbytes(value.kind)


def _result(x: Instruction) -> str:
    """Return the type of what is computed: a start's type holds more than that."""
    if not x.opcode.endswith("-start") or not x.kind.startswith("("):
        return x.kind
    return x.parts[0] if x.opcode == "copy-start" else x.parts[1]
