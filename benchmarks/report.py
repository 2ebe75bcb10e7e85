"""What a benchmark leaves: figures as tables and as files, and what ran where."""

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
from rich import box
from rich.console import Console
from rich.table import Table

WIDE = 300  # columns, so that no table is cut
PACKAGES = ("gradtx", "jax", "jaxlib", "optax", "torch", "numpy")
COMPILERS = ("libtpu", "jax-cuda13-plugin")

Record = dict[str, Any]
"""A row of a table: figures by their headings."""


def console() -> Console:
    """Return the terminal, which keeps what it shows for `write`."""
    return Console(width=WIDE, record=True)


def table(title: str, records: Sequence[Record], names: int = 1) -> Table:
    """Make a table of records, whose first figures are names; lists are left out."""
    made = Table(title=title, box=box.MARKDOWN, title_justify="left")
    shown = [
        k for x in records for k, value in x.items() if not isinstance(value, list)
    ]
    headings = dict.fromkeys(shown)
    for place, heading in enumerate(headings):
        side = "left" if place < names else "right"
        made.add_column(heading, justify=side, no_wrap=True)
    for record in records:
        made.add_row(*(_shown(record.get(key)) for key in headings))
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
    """Return what ran where: versions, device, date and command."""
    listing = Path("/proc/cpuinfo")
    text = listing.read_text() if listing.exists() else ""
    processor = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python {' '.join(sys.argv)}",
        "device": jax.devices()[0].device_kind,
        "processor": processor[1] if processor else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in PACKAGES + COMPILERS},
    }


def version_of(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
