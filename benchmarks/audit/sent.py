"""What a compiled program sends to other devices, and the products it computes."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.audit.hlo import ARRAY, Computation, Instruction, nbytes, parse

# By which part of a tuple the result of a collective that is begun is told.
BEGUN = {
    "all-gather-start": -1,
    "all-to-all-start": -1,
    "reduce-scatter-start": -1,
    "collective-permute-start": 1,
}
KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "reduce-scatter",
    "collective-permute",
)
CALLS = ("calls", "to_apply", "called_computations")
BRANCHES = ("branch_computations", "true_computation", "false_computation")
LISTED = re.compile(r"replica_groups=\{\{([\d,]*)\}")
COUNTED = re.compile(r"replica_groups=\[\d+,(\d+)\]")
NAMED = re.compile(r"replica_groups=mesh\[([^\]]*)\].*?\{([^}]*)\}")
# Of a dot, and of a call of cuBLAS.
CONTRACTED = re.compile(r'lhs_contracting_dim(?:s=|ensions":)[{\[]([\d,"]*)[}\]]')


class Exchange(NamedTuple):
    """What one device sends in a step that takes the way of most of it."""

    sent: Mapping[str, float]
    """Bytes, by kind of collective, as rings of devices send them."""
    within: float
    """Bytes of it that are sent within loops, in one round of each."""
    perhaps: tuple[float, ...] = ()
    """Bytes of it in loops whose rounds are not known: conditionals in that form."""

    @property
    def total(self) -> float:
        """Bytes in all."""
        return sum(self.sent.values())


def exchange(text: str, devices: int) -> Exchange:
    """Read from a compiled program what it sends.

    Args:
      text: the program.
      devices: how many run it.
    """
    return _of(parse(text), devices)


def _of(around: Computation, devices: int) -> Exchange:
    sent: Any = Counter()
    within, perhaps = 0.0, []
    for x in around.values():
        kind = x.opcode.removesuffix("-start")
        if kind in KINDS:
            sent[kind] += _bytes_of(x, kind, devices)
        inside = [_of(y, devices) for y in x.called(*CALLS, "body")]
        ways = [_of(y, devices) for y in x.called(*BRANCHES)]
        if ways:
            inside.append(max(ways, key=lambda way: way.total))
        is_loop, known = x.opcode == "while", x.trips is not None
        for part in inside:
            sent += part.sent
            within += part.total if is_loop and known else part.within
            perhaps += [part.total] if is_loop and not known else part.perhaps
    return Exchange(sent, within, tuple(perhaps))


def _bytes_of(x: Instruction, kind: str, devices: int) -> float:
    parts = x.parts
    if x.opcode in BEGUN and len(parts) > 1:
        made = nbytes(parts[BEGUN[x.opcode]])
    else:
        made = nbytes(x.kind)
    group = _group(x.attributes, devices)
    share = (group - 1) / group
    return (
        made
        * {
            "all-gather": share,
            "all-to-all": share,
            "all-reduce": 2 * share,
            "reduce-scatter": group - 1,
            "collective-permute": 1,
        }[kind]
    )


def _group(attributes: str, devices: int) -> int:
    """Return how many devices exchange with each other."""
    if found := LISTED.search(attributes):
        return len(found[1].split(","))
    if found := COUNTED.search(attributes):
        return int(found[1])
    if found := NAMED.search(attributes):
        sizes = dict(re.findall(r"'([^']+)'=(\d+)", found[1]))
        names = re.findall(r"'([^']+)'", found[2])
        return math.prod(int(sizes[name]) for name in names)
    return devices


def products(text: str) -> float:
    """Return how many multiplications of numbers the matrix products make.

    Loops whose rounds are known are counted as often as they are run, and of the ways
    of a conditional all.
    """
    return _products(parse(text))


def _products(around: Computation) -> float:
    total = 0.0
    for x in around.values():
        if x.opcode == "dot" or "cublas$gemm" in x.attributes:
            total += _multiplications(x)
        times = x.trips or 1 if x.opcode == "while" else 1
        for inside in x.called(*CALLS, *BRANCHES, "body"):
            total += times * _products(inside)
    return total


def _multiplications(x: Instruction) -> float:
    made, left = (_shape(y.kind) for y in (x, x.operands[0]))
    found = CONTRACTED.search(x.attributes)
    summed = [left[int(i)] for i in re.findall(r"\d+", found[1])] if found else []
    return math.prod(made) * math.prod(summed)


def _shape(kind: str) -> list[int]:
    found = ARRAY.search(kind)
    return [int(n) for n in found[2].split(",") if n] if found else []
