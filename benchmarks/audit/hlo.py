"""Read the text of a compiled program into computations and instructions."""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property

ARRAY = re.compile(r"\b([a-z]+[0-9a-z]*)\[([0-9,<= ]*)\](\{[^}]*\})?")
PART = re.compile(r"\((?:[^(){}]|\{[^}]*\})*\)|[a-z]\w*\[[^\]]*\](?:\{[^}]*\})?")
NEAR = re.compile(r"S\((?!0\))")  # not in main memory, whose number is 0
HEAD = re.compile(r"(ENTRY )?%([\w.-]+) \(.*\{$")
LINE = re.compile(r"\s+(ROOT )?%([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*?)\)(?:, (.*))?$")
NAME, COMMENT = re.compile(r"%([\w.-]+)"), re.compile(r"/\*.*?\*/")
TRIPS = re.compile(r'"known_trip_count":\s*\{\s*"n":\s*"?(\d+)"?')


@dataclass(eq=False)
class Instruction:
    """One line of a computation."""

    kind: str  # the text of its type
    opcode: str
    inner: str  # between the parentheses: operands, a parameter's number, a constant
    attributes: str
    named: "dict[str, Computation]" = field(repr=False)  # of the program so far
    operands: "list[Instruction]" = field(repr=False)
    users: "list[Instruction]" = field(default_factory=list, repr=False)

    @property
    def parts(self) -> list[str]:
        """The types that a tuple is made of."""
        is_tuple = self.kind.startswith("(")
        return PART.findall(self.kind[1:-1]) if is_tuple else [self.kind]

    @property
    def trips(self) -> int | None:
        """The rounds of a loop, where they are known."""
        found = TRIPS.search(self.attributes)
        return int(found[1]) if found else None

    def called(self, *names: str) -> "list[Computation]":
        """Return the computations that some attributes name."""
        told = rf"\b(?:{'|'.join(names) or '(?!)'})=(\{{[^}}]*\}}|\S+)"
        found = NAME.findall(" ".join(re.findall(told, self.attributes)))
        return [self.named[name] for name in found if name in self.named]


class Computation(dict[str, Instruction]):
    """Instructions by name, of which one is the result."""

    root: Instruction | None = None

    @cached_property  # asked for once all of it is read, for every operand
    def parameters(self) -> dict[str, Instruction]:
        """What it is given, by number."""
        return {x.inner: x for x in self.values() if x.opcode == "parameter"}


def parse(text: str) -> Computation:
    """Read a whole program, and return the computation that is its entry."""
    named: dict[str, Computation] = {}
    entry, current = None, Computation()
    for line in text.splitlines():
        if head := HEAD.match(line):
            current = named[head[2]] = Computation()
            entry = current if head[1] else entry
        elif found := LINE.match(COMMENT.sub("", line)):
            root, name, kind, opcode, inner, rest = found.groups("")
            # Whatever is read stands before its reader.
            operands = [current[operand] for operand in NAME.findall(inner)]
            x = current[name] = Instruction(kind, opcode, inner, rest, named, operands)
            for value in dict.fromkeys(operands):
                value.users.append(x)
            current.root = x if root else current.root
    if entry is None:
        raise ValueError("this is no compiled program: it has no ENTRY computation")
    return entry


def nbytes(kind: str, *, far: bool = False) -> float:
    """Count the bytes of a type's arrays, or of those ``far`` in main memory alone.

    A number in the name of an array's type is its width, as in f8e4m3fn.
    """
    total = 0.0
    for dtype, shape, layout in ARRAY.findall(kind):
        if not (far and NEAR.search(layout)):
            width = re.findall(r"\d+", dtype) or [8 * (dtype == "pred")]
            total += math.prod(map(int, re.findall(r"\d+", shape))) * int(width[0]) / 8
    return total
