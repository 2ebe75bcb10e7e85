"""Count what the computations of a compiled program read, write and launch."""

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.audit.hlo import Computation, Instruction, Module, arrays_of

# What moves nothing: names for values that lie somewhere already.
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
        return self.extreme(min)

    @property
    def most(self) -> Work:
        """The work where every choice falls on what moves most."""
        return self.extreme(max)

    def one_loop(self, pick: Callable[..., Any]) -> Work:
        """Return the work where just one of the open loops runs: ``min`` or ``max``.

        So it is where one stands for what is done if a condition holds, and the other
        for what is done if it does not.
        """
        before = Cost(self.always, self.choices).extreme(min)
        rounds = [loop.extreme(pick) for loop in self.maybe]
        return before.plus(pick(rounds, key=lambda work: work.moved))

    def extreme(self, pick: Callable[..., Any]) -> Work:
        """Return the work where ``pick``, min or max, takes every choice."""
        total = self.always
        for choice in self._all_choices():
            ends = [branch.extreme(pick) for branch in choice]
            total = total.plus(pick(ends, key=lambda work: work.moved))
        return total

    def _all_choices(self) -> list[list["Cost"]]:
        return [*self.choices, *([Cost(), loop] for loop in self.maybe)]

    def paths(self) -> list[Work]:
        """Return the different ways through, the one that moves least first.

        Where there are too many, only the first and the last of them.
        """
        if self.ways() > MOST_PATHS:
            return [self.least, self.most]
        found = {round(work.moved): work for work in self.walk()}
        return [found[key] for key in sorted(found)]

    def ways(self) -> int:
        """Count the ways through."""
        return math.prod(
            sum(branch.ways() for branch in choice) for choice in self._all_choices()
        )

    def walk(self) -> Iterator[Work]:
        """Yield the work of every way through."""
        options = [
            [work for branch in choice for work in branch.walk()]
            for choice in self._all_choices()
        ]
        for chosen in itertools.product(*options):
            total = self.always
            for work in chosen:
                total = total.plus(work)
            yield total


def cost_of(module: Module) -> Cost:
    """Return what a program does from its first instruction to its last."""
    return _computation(module, module.entry)


def _computation(module: Module, computation: Computation) -> Cost:
    total = Cost()
    for instruction in computation.instructions.values():
        total.add(_instruction(module, computation, instruction))
    return total


def _instruction(module: Module, around: Computation, x: Instruction) -> Cost:
    if _moves_nothing(x):
        return Cost()
    if x.opcode == "while":
        return _loop(module, x)
    if x.opcode in CALLS and x.called(*CALLS[x.opcode]):
        inside = [module.computations[name] for name in x.called(*CALLS[x.opcode])]
        if x.opcode == "fusion":
            return Cost(Work(*_fused(module, around, x, inside[0]), kernels=1))
        branches = [_computation(module, one) for one in inside]
        return Cost(choices=[branches]) if len(branches) > 1 else branches[0]
    return Cost(Work(_read(around, x), _written(around, x), kernels=1))


def _moves_nothing(x: Instruction) -> bool:
    if x.opcode == "custom-call":
        target = TARGET.search(x.attributes)
        return bool(target) and target[1] in FREE_TARGETS
    return x.opcode in FREE or x.opcode.endswith(("-done", "-update"))


def _loop(module: Module, x: Instruction) -> Cost:
    trips = TRIPS.search(x.attributes)
    body, condition = (
        _computation(module, module.computations[x.called(name)[0]])
        for name in ("body", "condition")
    )
    condition.add(Cost(loops=1 + body.loops))
    if trips is None:
        condition.maybe.append(body)
    else:
        condition.add(body.times(int(trips[1])))
        condition.loops = 1 + body.loops
    return condition


# --- one instruction ---------------------------------------------------------


def _far(kind: str) -> float:
    return sum(array.far for array in arrays_of(kind))


def _read(around: Computation, x: Instruction) -> float:
    opcode = x.opcode.removesuffix("-start")
    if opcode in {"broadcast", "iota"}:
        return 0.0 if opcode == "iota" else _operand(around, x.operands[0])
    names = list(dict.fromkeys(x.operands))
    if opcode in SLICES:
        taken = min(_size(_result(x)), _operand(around, names[0], near_too=True))
        first = taken if _operand(around, names[0]) else 0.0
        return first + sum(_operand(around, name) for name in names[1:])
    if opcode == "dynamic-update-slice":
        names = names[1:]
    return sum(_operand(around, name) for name in names)


def _written(around: Computation, x: Instruction) -> float:
    if x.opcode == "dynamic-update-slice" and _far(x.kind):
        update = around.instructions[x.operands[1]]
        return _size(update.kind)
    return _far(_result(x))


def _result(x: Instruction) -> str:
    """Return the type of what is computed: a start's type holds more than that."""
    if not x.opcode.endswith("-start") or not x.kind.startswith("("):
        return x.kind
    parts = x.parts
    return parts[0] if x.opcode == "copy-start" else parts[1]


def _operand(around: Computation, name: str, *, near_too: bool = False) -> float:
    source = around.instructions[name]
    return _size(source.kind) if near_too else _far(source.kind)


def _size(kind: str) -> float:
    return sum(array.nbytes for array in arrays_of(kind))


# --- fusions -----------------------------------------------------------------


def _fused(
    module: Module, around: Computation, x: Instruction, inside: Computation
) -> tuple[float, float]:
    """Return the bytes that a fusion reads and writes."""
    read = 0.0
    for name in dict.fromkeys(x.operands):
        places = [i for i, operand in enumerate(x.operands) if operand == name]
        whole = _operand(around, name)
        used = sum(_used(module, inside, inside.parameter(i)) for i in places)
        read += min(whole, used)
    return read, _stored(x, inside)


def _used(module: Module, inside: Computation, value: Instruction) -> float:
    """Return how many bytes of a value in a fusion are read."""
    total = 0.0
    for user in inside.users(value.name):
        first = user.operands[0] == value.name
        if user.opcode == "bitcast":
            total += _used(module, inside, user)
        elif user.opcode in SLICES and first:
            total += _size(user.kind)
        elif user.opcode == "dynamic-update-slice" and first:
            continue  # it is written in place
        elif user.opcode == "fusion":
            within = module.computations[user.called("calls")[0]]
            for place, operand in enumerate(user.operands):
                if operand == value.name:
                    total += _used(module, within, within.parameter(place))
        else:
            return _size(value.kind)
    return total


def _stored(x: Instruction, inside: Computation) -> float:
    """Return how many bytes of a fusion's results are written to main memory."""
    root = inside.instructions[inside.root]
    names = root.operands if root.opcode == "tuple" else (root.name,)
    parts = x.parts
    if len(parts) != len(names):
        return _far(x.kind)
    return sum(
        min(_far(part), _new(inside, inside.instructions[name]))
        for part, name in zip(parts, names, strict=True)
    )


def _new(inside: Computation, value: Instruction) -> float:
    if value.opcode == "bitcast":
        return _new(inside, inside.instructions[value.operands[0]])
    if value.opcode == "dynamic-update-slice":
        return _size(inside.instructions[value.operands[1]].kind)
    return _size(value.kind)
