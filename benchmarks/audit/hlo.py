"""Read the text of a compiled program into computations and instructions."""

import math
import re
from dataclasses import dataclass, field

ARRAY = re.compile(r"\b([a-z]+[0-9a-z]*)\[([0-9,<= ]*)\](\{[^}]*\})?")
NEAR = re.compile(
    r"S\((?!0\))"
)  # in another memory than the main one, whose number is 0
HEAD = re.compile(r"(ENTRY )?%([\w.-]+) \(.*\{$")
LINE = re.compile(r"\s+(ROOT )?%([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*?)\)(?:, (.*))?$")
NAME, COMMENT = re.compile(r"%([\w.-]+)"), re.compile(r"/\*.*?\*/")
TRIPS = re.compile(r'"known_trip_count":\s*\{\s*"n":\s*"?(\d+)"?')


@dataclass(eq=False)
class Instruction:
    """One line of a computation."""

    name: str
    kind: str
    """The text of its type."""
    opcode: str
    inner: str
    """The text between the parentheses: operands, a parameter's number, a constant."""
    attributes: str
    operands: "list[Instruction]" = field(default_factory=list)
    users: "list[Instruction]" = field(default_factory=list)
    named: "dict[str, Computation]" = field(default_factory=dict, repr=False)
    """The computations of the program so far."""

    @property
    def parts(self) -> list[str]:
        """The types a tuple is made of, between commas that stand in no bracket."""
        if not self.kind.startswith("("):
            return [self.kind]
        parts, depth = [""], 0
        for letter in self.kind[1:-1]:
            depth += (letter in "([{") - (letter in ")]}")
            if letter == "," and not depth:
                parts.append("")
            else:
                parts[-1] += letter
        return parts

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


@dataclass(eq=False)
class Computation:
    """A list of instructions, of which one is the result."""

    instructions: dict[str, Instruction] = field(default_factory=dict)
    root: Instruction | None = None

    def parameter(self, number: int) -> Instruction:
        """Return a parameter."""
        every = (x for x in self.instructions.values() if x.opcode == "parameter")
        return next(x for x in every if int(x.inner) == number)


def parse(text: str) -> Computation:
    """Read a whole program, and return the computation that is its entry.

    Raises:
      ValueError: if the text has none.
    """
    named: dict[str, Computation] = {}
    entry, current = None, Computation()
    for line in text.splitlines():
        if head := HEAD.match(line):
            current = named[head[2]] = Computation()
            entry = current if head[1] else entry
        elif found := LINE.match(COMMENT.sub("", line)):
            root, name, kind, opcode, inner, rest = found.groups("")
            x = Instruction(name, kind, opcode, inner, rest, named=named)
            values = current.instructions  # whatever is read stands before its reader
            x.operands = [values[operand] for operand in NAME.findall(inner)]
            for value in dict.fromkeys(x.operands):
                value.users.append(x)
            values[x.name] = x
            current.root = x if root else current.root
    if entry is None:
        raise ValueError("this is no compiled program: it has no ENTRY computation")
    return entry


def nbytes(kind: str, *, far: bool = False) -> float:
    """Count the bytes of the arrays that a type's text names.

    Args:
      kind: the text; a number in the name of a type is its width, as in f8e4m3fn.
      far: count those in the device's main memory only.
    """
    total = 0.0
    for dtype, shape, layout in ARRAY.findall(kind):
        if not (far and NEAR.search(layout)):
            width = re.findall(r"\d+", dtype) or [8 * (dtype == "pred")]
            total += math.prod(map(int, re.findall(r"\d+", shape))) * int(width[0]) / 8
    return total
