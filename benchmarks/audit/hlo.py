"""Read the text of a compiled program into computations and instructions."""

import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

ARRAY = re.compile(r"\b([a-z]+[0-9a-z]*)\[([0-9,<= ]*)\](\{[^}]*\})?")
SPACE = re.compile(r"S\((\d+)\)")
HEAD = re.compile(r"^\s*(ENTRY\s+)?%?([\w.\-]+)\s*\(.*\)\s*->\s*.*\{\s*$")
NAME = re.compile(r"^\s*(ROOT\s+)?%?([\w.\-]+)\s*=\s*(.*)$")
COMMENT = re.compile(r"/\*.*?\*/")

VALUES = ("parameter", "constant")  # between their parentheses stand no operands
NARROW = {"pred": 8, "token": 0, "opaque": 0}  # bits of types that name no number


@dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    opcode: str
    kind: str
    """The text of its type."""
    operands: tuple[str, ...]
    attributes: str
    inner: str
    """The text between the parentheses: a parameter's number, a constant."""

    @property
    def parts(self) -> list[str]:
        """The types a tuple is made of."""
        return split(self.kind[1:-1]) if self.kind.startswith("(") else [self.kind]

    def called(self, *names: str) -> list[str]:
        """Return the computations that some attributes name."""
        found: list[str] = []
        for name in names:
            match = re.search(rf"\b{name}=(\{{[^}}]*\}}|%?[\w.\-]+)", self.attributes)
            if match:
                found += re.findall(r"[\w.\-]+", match[1])
        return found


@dataclass
class Computation:
    """A list of instructions, of which one is the result."""

    name: str
    instructions: dict[str, Instruction] = field(default_factory=dict)
    root: str = ""

    def parameter(self, number: int) -> Instruction:
        """Return a parameter."""
        return next(
            x
            for x in self.instructions.values()
            if x.opcode == "parameter" and int(x.inner) == number
        )

    def users(self, name: str) -> list[Instruction]:
        """Return the instructions that read a value."""
        return [x for x in self.instructions.values() if name in x.operands]


class Module(NamedTuple):
    """A compiled program."""

    entry: Computation
    computations: dict[str, Computation]


def parse(text: str) -> Module:
    """Read a whole program.

    Raises:
      ValueError: if the text has no entry computation.
    """
    computations: dict[str, Computation] = {}
    entry = current = None
    for line in text.splitlines():
        head = HEAD.match(line)
        if head and "=" not in line.split("(", 1)[0]:
            current = computations[head[2]] = Computation(head[2])
            entry = current if head[1] else entry
        elif line.strip() == "}":
            current = None
        elif current is not None:
            _read(line, current)
    if entry is None:
        raise ValueError("this is no compiled program: it has no ENTRY computation")
    return Module(entry, computations)


def _read(line: str, computation: Computation) -> None:
    found = NAME.match(COMMENT.sub("", line))
    if not found:
        return
    root, name, rest = found.groups()
    kind, rest = cut(rest, " ")
    call, attributes = cut(rest, ",")
    opcode, _, inner = call.removesuffix(")").partition("(")
    # An operand is written as %name, or with its type before it.
    names = [] if opcode in VALUES else split(inner)
    operands = tuple(part.rsplit(" ", 1)[-1].lstrip("%") for part in names)
    computation.instructions[name] = Instruction(
        name, opcode, kind, operands, attributes, inner
    )
    if root:
        computation.root = name


def cut(text: str, mark: str) -> tuple[str, str]:
    """Cut at the first mark that stands in no bracket; without one, behind the text."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == mark and depth == 0:
            return text[:place].strip(), text[place + 1 :].strip()
    return text.strip(), ""


def split(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts = []
    while text:
        part, text = cut(text, ",")
        parts.append(part)
    return parts


def nbytes(kind: str, *, far: bool = False) -> float:
    """Count the bytes of the arrays that a type's text names.

    Args:
      kind: the text.
      far: count those in the device's main memory only, whose number is 0.
    """
    total = 0.0
    for dtype, shape, layout in ARRAY.findall(kind):
        space = SPACE.search(layout)
        if not (far and space and int(space[1])):
            count = math.prod(map(int, re.findall(r"\d+", shape)))
            total += count * bits(dtype) / 8
    return total


def bits(dtype: str) -> int:
    """Return how many bits a number of a type takes: 16 for bf16 and f16.

    The first number in a type's name is its width, as in f8e4m3fn; pred takes a byte.
    """
    if dtype in NARROW:
        return NARROW[dtype]
    number = re.search(r"\d+", dtype)
    return int(number[0]) if number else 0
