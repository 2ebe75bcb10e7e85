"""The figures as tables in Markdown, and the files that a benchmark leaves."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import facts

WIDE = 300  # columns, so that no table is cut

Record = dict[str, Any]
"""A row of a table: figures by their headings."""


def console(width: int = WIDE) -> Console:
    """Return the terminal, which keeps what it shows for `write`."""
    return Console(width=width, record=True)


def table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1
) -> Table:
    """Make a table whose first columns are names and whose others are numbers."""
    made = Table(title=title, box=box.MARKDOWN, title_justify="left")
    for place, heading in enumerate(headings):
        side = "left" if place < names else "right"
        made.add_column(heading, justify=side, no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def table_of(title: str, records: Sequence[Record], names: int = 1) -> Table:
    """Make a table of records, which need not all have the same figures."""
    headings = list(dict.fromkeys(key for record in records for key in record))
    rows = ([_shown(record.get(key)) for key in headings] for record in records)
    return table(title, headings, rows, names)


def _shown(value: Any) -> str:
    """Write quartiles as a median and the first to the third, others to 4 digits."""
    if isinstance(value, tuple):
        low, middle, high = map(_shown, value)
        return f"{middle} ({low}-{high})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{round(value, 4):.4g}" if value < 1e4 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value or ""


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table as a page has it, without columns of equal width."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(out: Path, name: str, rows: Sequence[Record], shown: Console) -> None:
    """Write the figures and what ran where as JSON, what was shown as Markdown."""
    record = {**facts(), "rows": rows}
    (out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (out / "tables.md").write_text(shown.export_text(clear=False))
