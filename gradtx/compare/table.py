"""The table: what it says of each method, as Markdown and in the terminal."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx.compare.measures import Comparison, Row, deviation
from gradtx.compare.needs import needed
from gradtx.compare.searching import diverged

UNBROKEN = ("method", "rates that work")
Cells = tuple[str, ...]


def columns(comparison: Comparison) -> Cells:
    """Name the columns: those of all tasks, and what the task evaluates besides."""
    measured = [_title(name) for name in _measured(comparison)]
    reference = comparison.reference
    return (
        "method",
        "best learning rate",
        "final loss",
        f"above {reference.title}" if reference else "above the best",
        *measured,
        "steps to target",
        "s to target",
        "rates that work",
        "state B/param",
        "time ms/step",
    )


def cells(comparison: Comparison, row: Row) -> Cells:
    """Write the figures of one method."""
    cost = (f"{row.cost.state_bytes:.1f}", f"{1000 * row.cost.seconds:.2f}")
    measured = _measured(comparison)
    if not np.isfinite(row.loss):
        return (row.title, "diverged", *["-"] * (5 + len(measured)), *cost)
    arrives = np.isfinite(row.steps)
    return (
        row.title,
        f"{row.rate:.2g}{_edge(row)}{_others(row)}",
        _spread(row.losses),
        _behind(comparison, row),
        *(_measure(name, row) for name in measured),
        f"{row.steps:.0f}" if arrives else "never",
        f"{row.steps * row.cost.seconds:.2g}" if arrives else "never",
        working_rates(row),
        *cost,
    )


def working_rates(row: Row) -> str:
    """Write the range of learning rates that end on target."""
    if not row.width:
        return "none"
    low = ("<" if row.open_low else "") + f"{row.low:.1g}"
    high = (">" if row.open_high else "") + f"{row.high:.1g}"
    return f"{low} to {high}"


def _measured(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(name for row in comparison.rows for name in row.measures))


def _title(name: str) -> str:
    return f"{name} %" if _is_share(name) else name


def _is_share(name: str) -> bool:
    return name.endswith("accuracy")


def _measure(name: str, row: Row) -> str:
    values = row.measures[name]
    return _spread(100 * values, 1) if _is_share(name) else _spread(values)


def _spread(values: np.ndarray, digits: int | None = None) -> str:
    """Write mean and deviation: with three decimals, or three figures of the mean."""
    if digits is None:
        size = abs(float(values.mean())) or 1.0
        digits = max(3, 2 - int(np.floor(np.log10(size)))) if np.isfinite(size) else 3
    return f"{values.mean():.{digits}f} ±{deviation(values):.{digits}f}"


def _edge(row: Row) -> str:
    """Say where the best rate has no worse one on a side, or was the only one."""
    if row.sweep.inside:
        return ""
    return " (given)" if len(row.sweep.line) == 1 else " (edge)"


def _others(row: Row) -> str:
    """Write what was swept beside the rate."""
    swept = [(k, x) for k, x in row.sweep.point.items() if k != "learning_rate"]
    return "".join(f", {name} {value:g}" for name, value in swept)


def _behind(comparison: Comparison, row: Row) -> str:
    found = comparison.behind(row)
    if found is None:
        return "-"
    return f"{found.mean:+.3g}" if found.certain else "noise"


def ordered(comparison: Comparison) -> list[Row]:
    """Give the rows by rising final loss, and those that always diverged last."""
    lost = [row for row in comparison.rows if not np.isfinite(row.loss)]
    return comparison.ranking + lost


def caption(comparison: Comparison) -> str:
    """Say what was run, and what is counted."""
    fixed = comparison.protocol
    return (
        f"{fixed.steps} steps, {fixed.seeds} seeds, mean ± sd; "
        f"the rate with the lowest loss counts; target: a loss of {comparison.goal:.3g}"
    )


def table_lines(comparison: Comparison) -> list[Cells]:
    """Give the table, its heads first."""
    rows = ordered(comparison)
    return [columns(comparison), *(cells(comparison, row) for row in rows)]


def settings_lines(comparison: Comparison) -> list[Cells]:
    """Give a table of what was fixed for each method, and what it was given."""
    heads = ("method", "fixed settings", "tried", "grid widened", "runs that diverged")
    return [heads, *map(_settings, comparison.rows)]


def _settings(row: Row) -> Cells:
    outcome = row.sweep.outcome
    rates, runs = outcome.rates, outcome.final.size
    tried = f"{len(rates)} from {rates.min():.1e} to {rates.max():.1e}"
    if row.cost.chunks > 1:
        tried += f", in {row.cost.chunks} chunks"
    widened = f"{row.sweep.widened} times" if row.sweep.widened else "no"
    fixed = row.sweep.method.settings or f"`{row.optimizer!r}`"
    return (row.title, fixed, tried, widened, f"{diverged(outcome)} of {runs}")


def markdown(lines: list[Cells]) -> str:
    """Write a table as Markdown."""
    parted = [lines[0], ("---",) * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(_escaped(line))} |" for line in parted)


def _escaped(line: Cells) -> list[str]:
    return [cell.replace("|", "\\|") for cell in line]


def terminal_table(comparison: Comparison) -> Any:
    """Make the table for the terminal, best final loss first."""
    with needed("a table in the terminal"):
        from rich import box  # noqa: PLC0415 -- only where it is shown
        from rich.table import Table  # noqa: PLC0415
    table = Table(
        title=comparison.task.name,
        caption=caption(comparison),
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    heads, *lines = table_lines(comparison)
    for name in heads:
        justify = "left" if name == "method" else "right"
        table.add_column(name, justify=justify, max_width=18, no_wrap=name in UNBROKEN)
    for line in lines:
        table.add_row(*line)
    return table


def machine() -> str:
    """Say what this ran on."""
    device = jax.devices()[0].device_kind
    cores = f"{_processor()} with {os.cpu_count()} cores"
    versions = f"Python {platform.python_version()}, jax {jax.__version__}"
    return f"{cores}, jax device {device}, {versions}"


def _processor() -> str:
    """Name the processor, of which Linux tells in a file, others by its kind."""
    listing = Path("/proc/cpuinfo")
    text = listing.read_text("utf-8") if listing.exists() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return f"{model[1]} ({platform.machine()})" if model else platform.machine()
