"""What a benchmark leaves: figures as tables and as files, and what ran where."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from gradtx.compare.table import machine

WIDE = 300  # columns, so that no table is cut
PACKAGES = ("gradtx", "jax", "jaxlib", "jax-cuda13-plugin", "libtpu", "optax", "torch")

Record = dict[str, Any]
"""A row of a table: figures by their headings."""


def console() -> Console:
    """Return the terminal, which keeps what it shows for `write`."""
    return Console(width=WIDE, record=True)


def table(title: str, records: Sequence[Record], names: int = 1) -> Table:
    """Make a table of records, whose first figures are names; lists are left out."""
    rows = [
        {k: _shown(x) for k, x in each.items() if not isinstance(x, list)}
        for each in records
    ]
    made = Table(title=title, box=box.MARKDOWN, title_justify="left")
    headings = list(dict.fromkeys(key for row in rows for key in row))
    for heading in headings:
        side = "left" if heading in headings[:names] else "right"
        made.add_column(heading, justify=side, no_wrap=True)
    for row in rows:
        made.add_row(*map(row.get, headings))
    return made


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


def facts() -> Record:
    """Return what ran where: versions, machine, date and command."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python {' '.join(sys.argv)}",
        "machine": machine(),
        "versions": {package: version_of(package) for package in PACKAGES},
    }


def version_of(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
