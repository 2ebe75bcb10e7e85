"""Read the text of a compiled program into computations and instructions."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

ARRAY = re.compile(r"\b([a-z]+[0-9a-z]*)\[([0-9,<= ]*)\](\{[^}]*\})?")
SPACE = re.compile(r"S\((\d+)\)")
HEAD = re.compile(r"^\s*(ENTRY\s+)?%?([\w.\-]+)\s*\(.*\)\s*->\s*.*\{\s*$")
NAME = re.compile(r"^\s*(ROOT\s+)?%?([\w.\-]+)\s*=\s*(.*)$")
COMMENT = re.compile(r"/\*.*?\*/")
OPEN, CLOSE = "([{", ")]}"

VALUES = ("parameter", "constant")  # between their parentheses stand no operands
NARROW = {"pred": 8, "token": 0, "opaque": 0}  # bits of types that name no number


class Array(NamedTuple):
    """One array as an instruction's type has it."""

    nbytes: float
    space: int = 0
    """The memory it lies in: 0 is the device's main memory."""

    @property
    def far(self) -> float:
        """The bytes that lie in main memory."""
        return self.nbytes if self.space == 0 else 0.0


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
    def arrays(self) -> list[Array]:
        """The arrays of its type, of a tuple's parts one after the other."""
        return arrays_of(self.kind)

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
    kind, rest = _type_and_rest(rest)
    opcode, _, rest = rest.partition("(")
    end = closing("(" + rest, 0) - 1
    inner = rest[:end]
    operands = () if opcode.strip() in VALUES else tuple(_last_words(inner))
    computation.instructions[name] = Instruction(
        name, opcode.strip(), kind, operands, rest[end + 1 :], inner
    )
    if root:
        computation.root = name


def _last_words(inner: str) -> list[str]:
    # An operand is written as %name, or with its type before it.
    return [part.rsplit(" ", 1)[-1].lstrip("%") for part in split(inner)]


def _type_and_rest(text: str) -> tuple[str, str]:
    end = closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    return text[:end], text[end:].lstrip()


def closing(text: str, start: int) -> int:
    """Return where the bracket that opens at ``start`` closes."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in OPEN) - (text[place] in CLOSE)
        if depth == 0:
            return place
    raise ValueError(f"a bracket is not closed: {text[start : start + 80]}")


def split(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in OPEN) - (letter in CLOSE)
        if letter == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def arrays_of(kind: str) -> list[Array]:
    """Return the arrays that a type's text names."""
    found = []
    for dtype, shape, layout in ARRAY.findall(kind):
        count = 1
        for length in re.findall(r"\d+", shape):
            count *= int(length)
        space = SPACE.search(layout or "")
        found.append(Array(count * bits(dtype) / 8, int(space[1]) if space else 0))
    return found


def bits(dtype: str) -> int:
    """Return how many bits a number of a type takes: 16 for bf16 and f16.

    The first number in a type's name is its width, as in f8e4m3fn; pred takes a byte.
    """
    if dtype in NARROW:
        return NARROW[dtype]
    number = re.search(r"\d+", dtype)
    return int(number[0]) if number else 0
