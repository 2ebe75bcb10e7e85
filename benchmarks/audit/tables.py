"""The audit as tables."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from rich import box
from rich.table import Table

from benchmarks.audit.compiling import Figures, Passage

FINE = 1.02
"""How many times its floor a step may move."""
ROUNDING = 0.05
"""Bytes per parameter that are nothing: counts and other numbers, where all stands."""


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
    made = Table(title=title, box=style, title_justify="left")
    made.add_column("row", no_wrap=True)
    made.add_column("way", no_wrap=True)
    for heading in (
        *(
            "floor",
            "B/param",
            "ratio",
            "kernels",
            "temp",
            "loops",
            "trace, lower, comp.",
        ),
        *("optax B/param", "kernels", "temp", "comp. s"),
    ):
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        for place, passage in enumerate(row.gradtx.passages):
            made.add_row(*_line(row, place, passage))
    return made


def _line(row: Row, place: int, passage: Passage) -> list[str]:
    own, theirs = row.gradtx, row.optax
    seconds = f"{own.trace:.2f} {own.lower:.2f} {own.compile:.2f}"
    return [
        row.name if place == 0 else "",
        passage.label,
        f"{passage.floor:.2f}" + ("" if passage.bound else " +"),
        f"{passage.moved:.2f}",
        f"{passage.ratio:.2f}" + (" !" if above(passage) else ""),
        f"{passage.kernels:g}",
        f"{own.temporary:.2f}",
        f"{own.loops}" + (f" ({own.open} open)" if own.open else ""),
        seconds if place == 0 else "",
        *_theirs(theirs, place),
    ]


def _theirs(theirs: Figures | None, place: int) -> list[str]:
    if theirs is None:
        return ["", "", "", ""]
    passage = theirs.passages[place]
    return [
        f"{passage.moved:.2f}",
        f"{passage.kernels:g}",
        f"{theirs.temporary:.2f}",
        f"{theirs.compile:.2f}" if place == 0 else "",
    ]


def above(passage: Passage) -> bool:
    """Whether a step moves more than its floor, where that can be reached."""
    far = passage.ratio > FINE and passage.moved > passage.floor + ROUNDING
    return passage.bound and far


def summary(rows: Iterable[Row]) -> str:
    """Say in a sentence how many ways are at their floor, and which are not."""
    ways: list[tuple[Any, Passage]] = [
        (row.name, passage)
        for row in rows
        for passage in row.gradtx.passages
        if passage.bound
    ]
    high = [f"{name} {p.label}".strip() for name, p in ways if above(p)]
    said = f"{len(ways) - len(high)} of {len(ways)} ways within 2% of their floor"
    return f"{said}; above it: {', '.join(high)}" if high else said
