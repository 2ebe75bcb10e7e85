"""The figures as tables."""

from collections.abc import Callable, Iterable
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.measure import Entry, Row

LIBRARIES = ("gradtx", "optax", "torch")
COMPARED = LIBRARIES[1:]


def step_table(title: str, rows: Iterable[Row], style: box.Box = box.SIMPLE) -> Table:
    """Make the table of times: median of a step, and first to third quartile."""
    rows = list(rows)
    table = Table(title=title, box=style, title_justify="left")
    table.add_column("method", no_wrap=True)
    for name in LIBRARIES:
        table.add_column(f"{name} ms", justify="right", no_wrap=True)
    for name in COMPARED:
        table.add_column(f"/ {name}", justify="right", no_wrap=True)
    for heading in ("B/param", "GB/s", "copy GB/s", "of copy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        own = row.entries["gradtx"]
        table.add_row(
            row.method,
            *(_of(row, name, _milliseconds) for name in LIBRARIES),
            *(_of(row, name, lambda e: f"{e.gradtx_ratio:.2f}") for name in COMPARED),
            f"{row.floor_bytes:g}",
            f"{own.gigabytes_per_second:.1f}",
            f"{row.copy_gigabytes_per_second.median:.1f}",
            f"{own.of_copy:.0%}",
        )
    return table


def stage_table(title: str, rows: Iterable[Row], style: box.Box = box.SIMPLE) -> Table:
    """Make the table of what comes before the first step, gradtx / optax."""
    columns: dict[str, Callable[[Any], str]] = {
        "trace s": lambda s: f"{s.trace:.3f}",
        "lower s": lambda s: f"{s.lower:.3f}",
        "compile s": lambda s: f"{s.compile:.3f}",
        "equations": lambda s: f"{s.equations:,}",
        "distinct": lambda s: f"{s.distinct:,}",
        "XLA B/param": lambda s: f"{s.moved_bytes:.1f}",
        "temp bytes": lambda s: f"{s.temp_bytes:,}",
    }
    table = Table(title=title, box=style, title_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in (*columns, "state B/param"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        pair = [row.entries[name] for name in ("gradtx", "optax")]
        stages = [_pair(show, *(e.stages for e in pair)) for show in columns.values()]
        state = _pair(lambda entry: f"{entry.state_bytes:.2f}", *pair)
        table.add_row(row.method, *stages, state)
    return table


def _pair(show: Callable[[Any], str], ours: Any, theirs: Any) -> str:
    return f"{show(ours)} / {show(theirs)}"


def _of(row: Row, library: str, show: Callable[[Entry], str]) -> str:
    entry = row.entries.get(library)
    return "" if entry is None else show(entry)


def _milliseconds(entry: Entry) -> str:
    digits = 3 if entry.seconds.median < 0.01 else 1
    low, middle, high = (f"{1e3 * s:.{digits}f}" for s in entry.seconds)
    return f"{middle} ({low}-{high})"
