"""Count what the computations of a compiled program read, write and launch."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
MOST_PATHS = 4096


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
    """What a computation does always, and the choices that it takes besides."""

    always: Work = field(default_factory=Work)
    choices: list[list["Cost"]] = field(default_factory=list)
    maybe: list["Cost"] = field(default_factory=list)
    """Of each loop whose number of rounds is not known, one round: it may be left out,
    as where a loop stands for something that is done in some steps only."""
    loops: int = 0
    """While-loops in it, wherever they stand."""

    def add(self, other: "Cost") -> None:
        """Do the other thing too."""
        self.always = self.always.plus(other.always)
        self.choices += other.choices
        self.maybe += other.maybe
        self.loops += other.loops

    def times(self, rounds: float) -> "Cost":
        """Do it so many times, with the same choices at every one."""
        return Cost(
            self.always.times(rounds),
            [[branch.times(rounds) for branch in choice] for choice in self.choices],
            [loop.times(rounds) for loop in self.maybe],
            self.loops,
        )

    @property
    def open(self) -> int:
        """How many loops there are whose number of rounds is not known."""
        inside = [branch for choice in self.choices for branch in choice]
        return len(self.maybe) + sum(part.open for part in (*self.maybe, *inside))

    @property
    def least(self) -> Work:
        """The work where every choice falls on what moves least."""
        return self.paths()[0]

    @property
    def most(self) -> Work:
        """The work where every choice falls on what moves most."""
        return self.paths()[-1]

    def one_loop(self, pick: Callable[..., Any]) -> Work:
        """Return the work where just one of the open loops runs: ``min`` or ``max``.

        So it is where one stands for what is done if a condition holds, and the other
        for what is done if it does not.
        """
        end = 0 if pick is min else -1
        rounds = [loop.paths()[end] for loop in self.maybe]
        before = Cost(self.always, self.choices).least
        return before.plus(pick(rounds, key=lambda work: work.moved))

    def paths(self) -> list[Work]:
        """Return the different ways through, the one that moves least first.

        Ways that move the same are one; of too many, only the first and last are kept.
        """
        found = [self.always]
        for choice in (*self.choices, *([Cost(), loop] for loop in self.maybe)):
            ends = [work for branch in choice for work in branch.paths()]
            ways = {}
            for work in (before.plus(end) for before in found for end in ends):
                ways.setdefault(round(work.moved), work)
            found = [ways[key] for key in sorted(ways)]
            if len(found) > MOST_PATHS:
                found = [found[0], found[-1]]
        return found


def cost_of(module: Module) -> Cost:
    """Return what a program does from its first instruction to its last."""
    return _computation(module, module.entry)


def _computation(module: Module, computation: Computation) -> Cost:
    total = Cost()
    for instruction in computation.instructions.values():
        total.add(_instruction(module, computation, instruction))
    return total


def _instruction(module: Module, around: Computation, x: Instruction) -> Cost:
    if _is_free(x):
        return Cost()
    if x.opcode == "while":
        return _loop(module, x)
    names = x.called(*CALLS.get(x.opcode, ()))
    inside = [module.computations[name] for name in names]
    if not inside:
        return Cost(Work(_read(around, x), _written(around, x), kernels=1))
    if x.opcode == "fusion":
        read = _fused(module, around, x, inside[0])
        return Cost(Work(read, _stored(x, inside[0]), kernels=1))
    branches = [_computation(module, one) for one in inside]
    return Cost(choices=[branches]) if len(branches) > 1 else branches[0]


def _is_free(x: Instruction) -> bool:
    if x.opcode == "custom-call":
        target = TARGET.search(x.attributes)
        return bool(target) and target[1] in FREE_TARGETS
    return x.opcode in FREE or x.opcode.endswith(("-done", "-update"))


def _loop(module: Module, x: Instruction) -> Cost:
    trips = TRIPS.search(x.attributes)
    body, total = (
        _computation(module, module.computations[x.called(name)[0]])
        for name in ("body", "condition")
    )
    loops = total.loops + 1 + body.loops
    if trips is None:
        total.maybe.append(body)
    else:
        total.add(body.times(int(trips[1])))
    total.loops = loops
    return total


# --- one instruction ---------------------------------------------------------


def _read(around: Computation, x: Instruction) -> float:
    opcode = x.opcode.removesuffix("-start")
    if opcode == "iota":
        return 0.0
    names = list(dict.fromkeys(x.operands))
    kinds = [around.instructions[name].kind for name in names]
    read = [nbytes(kind, far=True) for kind in kinds]
    if opcode == "broadcast":
        return read[0]
    if opcode in SLICES and read[0]:
        read[0] = min(nbytes(_result(x)), nbytes(kinds[0]))
    return sum(read[1:] if opcode == "dynamic-update-slice" else read)


def _written(around: Computation, x: Instruction) -> float:
    if x.opcode == "dynamic-update-slice" and nbytes(x.kind, far=True):
        return nbytes(around.instructions[x.operands[1]].kind)
    return nbytes(_result(x), far=True)


def _result(x: Instruction) -> str:
    """Return the type of what is computed: a start's type holds more than that."""
    if not x.opcode.endswith("-start") or not x.kind.startswith("("):
        return x.kind
    return x.parts[0] if x.opcode == "copy-start" else x.parts[1]


# --- fusions -----------------------------------------------------------------


def _fused(
    module: Module, around: Computation, x: Instruction, inside: Computation
) -> float:
    """Return the bytes that a fusion reads."""
    used = dict.fromkeys(x.operands, 0.0)
    for place, name in enumerate(x.operands):
        used[name] += _used(module, inside, inside.parameter(place))
    return sum(
        min(nbytes(around.instructions[name].kind, far=True), count)
        for name, count in used.items()
    )


def _used(module: Module, inside: Computation, value: Instruction) -> float:
    """Return how many bytes of a value in a fusion are read."""
    total = 0.0
    for user in inside.users(value.name):
        first = user.operands[0] == value.name
        if user.opcode == "bitcast":
            total += _used(module, inside, user)
        elif user.opcode in SLICES and first:
            total += nbytes(user.kind)
        elif user.opcode == "dynamic-update-slice" and first:
            continue  # it is written in place
        elif user.opcode == "fusion":
            within = module.computations[user.called("calls")[0]]
            for place, operand in enumerate(user.operands):
                if operand == value.name:
                    total += _used(module, within, within.parameter(place))
        else:
            return nbytes(value.kind)
    return total


def _stored(x: Instruction, inside: Computation) -> float:
    """Return how many bytes of a fusion's results are written to main memory."""
    root = inside.instructions[inside.root]
    names = root.operands if root.opcode == "tuple" else (root.name,)
    if len(x.parts) != len(names):
        return nbytes(x.kind, far=True)
    return sum(
        min(nbytes(part, far=True), _new(inside, inside.instructions[name]))
        for part, name in zip(x.parts, names, strict=True)
    )


def _new(inside: Computation, value: Instruction) -> float:
    if value.opcode == "bitcast":
        return _new(inside, inside.instructions[value.operands[0]])
    if value.opcode == "dynamic-update-slice":
        return nbytes(inside.instructions[value.operands[1]].kind)
    return nbytes(value.kind)
