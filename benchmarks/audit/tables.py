"""The audit as a table, and which steps are above their lower bound."""

from collections.abc import Iterable
from typing import NamedTuple

from rich import box
from rich.table import Table

from benchmarks.audit.compiling import Figures, Passage
from benchmarks.tables import table as table_of

FINE = 1.02
"""How many times its lower bound a step may move."""
ROUNDING = 0.05
"""Bytes per parameter that are nothing: counts and other single numbers."""
HEADINGS = (
    *("row", "way", "floor", "B/param", "ratio", "kernels", "temp", "loops"),
    *("trace, lower, comp.", "optax B/param", "kernels", "temp", "comp. s"),
)


class Row(NamedTuple):
    """One case on one target."""

    target: str
    name: str
    gradtx: Figures
    optax: Figures | None
    """None where optax lacks it."""
    lacking: str = ""
    """Why there are no figures of optax's."""


def table(title: str, rows: Iterable[Row], style: box.Box = box.SIMPLE) -> Table:
    """Make the table of one target: a line for every way through every row."""
    lines = (
        _line(row, place, passage)
        for row in rows
        for place, passage in enumerate(row.gradtx.passages)
    )
    return table_of(title, HEADINGS, lines, style, names=2)


def _line(row: Row, place: int, passage: Passage) -> list[str]:
    own, theirs = row.gradtx, row.optax
    first = place == 0
    line = [
        *(row.name if first else "", passage.label),
        f"{passage.floor:.2f}" + ("" if passage.bound else " +"),
        f"{passage.moved:.2f}",
        f"{passage.ratio:.2f}" + (" !" if above(passage) else ""),
        *(f"{passage.kernels:g}", f"{own.temporary:.2f}"),
        f"{own.loops}" + (f" ({own.open} open)" if own.open else ""),
        f"{own.trace:.2f} {own.lower:.2f} {own.compile:.2f}" if first else "",
    ]
    if theirs is None:
        return [*line, "", "", "", ""]
    other = theirs.passages[place]
    return [
        *(*line, f"{other.moved:.2f}", f"{other.kernels:g}"),
        *(f"{theirs.temporary:.2f}", f"{theirs.compile:.2f}" if first else ""),
    ]


def above(passage: Passage) -> bool:
    """Whether a step moves more than its lower bound, where that can be reached."""
    far = passage.ratio > FINE and passage.moved > passage.floor + ROUNDING
    return passage.bound and far


def summary(rows: Iterable[Row]) -> str:
    """Say in a sentence how many ways are at their lower bound, and which are not."""
    ways = [(row.name, p) for row in rows for p in row.gradtx.passages if p.bound]
    high = [f"{name} {p.label}".strip() for name, p in ways if above(p)]
    said = f"{len(ways) - len(high)} of {len(ways)} ways within 2% of their floor"
    return f"{said}; above it: {', '.join(high)}" if high else said
