"""The figures as tables, and the files that a benchmark leaves."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Entry, Row
from benchmarks.timing import Spread

LIBRARIES = ("gradtx", "optax", "torch")
COMPARED = LIBRARIES[1:]


def console(width: int) -> Console:
    """Return the terminal, or a file as wide as the tables are."""
    made = Console()
    return made if made.is_terminal else Console(width=width)


def table(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    style: box.Box = box.SIMPLE,
    names: int = 1,
) -> Table:
    """Make a table whose first columns are names and whose others are numbers."""
    made = Table(title=title, box=style, title_justify="left")
    for place, heading in enumerate(headings):
        made.add_column(
            heading, justify="left" if place < names else "right", no_wrap=True
        )
    for row in rows:
        made.add_row(*row)
    return made


def write(out: Path, name: str, record: Any, tables: Iterable[Any], width: int) -> None:
    """Write the figures as JSON, and tables and sentences as Markdown."""
    (out / f"{name}.json").write_text(json.dumps(plain(record), indent=1) + "\n")
    with (out / "tables.md").open("w") as file:
        for part in tables:
            Console(file=file, width=2 * width).print(part)


def plain(value: Any) -> Any:
    """Turn named tuples into dictionaries, as JSON has them."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(x) for x in value] if isinstance(value, tuple | list) else value


def quartiles(seconds: Spread, digits: int = 1) -> str:
    """Write a median, and the first to the third quartile, in milliseconds."""
    low, middle, high = (f"{1e3 * s:.{digits}f}" for s in seconds)
    return f"{middle} ({low}-{high})"


# --- steps ---------------------------------------------------------------------


def step_table(title: str, rows: Iterable[Row], style: box.Box = box.SIMPLE) -> Table:
    """Make the table of times: median of a step, and first to third quartile."""
    headings = (
        *("method", *(f"{name} ms" for name in LIBRARIES)),
        *(*(f"/ {name}" for name in COMPARED), "B/param"),
        *("GB/s", "copy GB/s", "of copy"),
    )
    return table(title, headings, map(_step, rows), style)


def _step(row: Row) -> list[str]:
    own = row.entries["gradtx"]

    def each(names: Sequence[str], show: Callable[[Entry], str]) -> list[str]:
        held = (row.entries.get(name) for name in names)
        return ["" if entry is None else show(entry) for entry in held]

    return [
        row.method,
        *each(
            LIBRARIES, lambda e: quartiles(e.seconds, 3 if e.seconds[1] < 0.01 else 1)
        ),
        *each(COMPARED, lambda e: f"{e.gradtx_ratio:.2f}"),
        f"{row.floor_bytes:g}",
        f"{own.gigabytes_per_second:.1f}",
        f"{row.copy_gigabytes_per_second.median:.1f}",
        f"{own.of_copy:.0%}",
    ]


STAGES: dict[str, Callable[[Any], str]] = {
    "trace s": lambda s: f"{s.trace:.3f}",
    "lower s": lambda s: f"{s.lower:.3f}",
    "compile s": lambda s: f"{s.compile:.3f}",
    "equations": lambda s: f"{s.equations:,}",
    "distinct": lambda s: f"{s.distinct:,}",
    "XLA B/param": lambda s: f"{s.moved_bytes:.1f}",
    "temp bytes": lambda s: f"{s.temp_bytes:,}",
    "state B/param": lambda s: f"{s.state_bytes:.2f}",
}


def stage_table(title: str, rows: Iterable[Row], style: box.Box = box.SIMPLE) -> Table:
    """Make the table of what comes before the first step, gradtx / optax."""
    lines = (
        [
            row.method,
            *(
                " / ".join(show(row.entries[x].stages) for x in ("gradtx", "optax"))
                for show in STAGES.values()
            ),
        ]
        for row in rows
    )
    return table(title, ("method", *STAGES), lines, style)
