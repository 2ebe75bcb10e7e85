"""The table, in the terminal and as Markdown, and the report around it."""

import json
import os
import platform
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich import box
from rich.table import Table

from comparison.claims import claims
from comparison.guide import selection_guide
from comparison.measures import Comparison, Row, deviation

COLUMNS = (
    "method",
    "best learning rate",
    "final loss",
    "test accuracy %",
    "steps to target",
    "rates that work",
    "state B/param",
    "time ms/step",
)
UNBROKEN = ("method", "rates that work")

LIMITS = (
    "A small network, a short run, a constant learning rate, and one setting of "
    "everything else: enough to see how the methods behave, too little to rank them. "
    "Over many tasks no method wins (Schmidt et al., arXiv 2007.01547), and how much "
    "each was tuned can turn a ranking round (Choi et al., arXiv 1910.05446). On the "
    "surface of the picture each method was given its own best rate, of those whose "
    "path stays in the frame."
)


def cells(row: Row) -> tuple[str, ...]:
    """Write the figures of one method."""
    if not np.isfinite(row.loss):
        return (row.title, "diverged", *["-"] * 4, f"{row.state_bytes:.1f}", _time(row))
    accuracies = 100 * row.accuracies
    return (
        row.title,
        f"{row.rate:.2g}" + ("" if row.sweep.inside else " (edge)"),
        f"{row.loss:.3f} ±{deviation(row.losses):.3f}",
        f"{accuracies.mean():.1f} ±{deviation(accuracies):.1f}",
        f"{row.steps:.0f}" if np.isfinite(row.steps) else "never",
        working_rates(row),
        f"{row.state_bytes:.1f}",
        _time(row),
    )


def working_rates(row: Row) -> str:
    """Write the range of learning rates that end on target."""
    if not row.width:
        return "none"
    low = ("<" if row.open_low else "") + f"{row.low:.1g}"
    high = (">" if row.open_high else "") + f"{row.high:.1g}"
    return f"{low} to {high}"


def _time(row: Row) -> str:
    return f"{1000 * row.seconds:.2f}"


def terminal_table(comparison: Comparison) -> Table:
    """Make the table for the terminal, best final loss first."""
    table = Table(
        title=comparison.task.title,
        caption=_caption(comparison),
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for name in COLUMNS:
        justify = "left" if name == "method" else "right"
        table.add_column(name, justify=justify, max_width=18, no_wrap=name in UNBROKEN)
    for row in ordered(comparison):
        table.add_row(*cells(row))
    return table


def ordered(comparison: Comparison) -> list[Row]:
    """Give the rows by rising final loss, and those that always diverged last."""
    lost = [row for row in comparison.rows if not np.isfinite(row.loss)]
    return comparison.ranking + lost


def _caption(comparison: Comparison) -> str:
    task = comparison.task
    return (
        f"{task.steps} steps of {task.batch_size}, {task.seeds} seeds, mean ± sd; "
        f"the rate with the lowest validation loss counts; target: a loss of "
        f"{comparison.target:.3g}"
    )


def markdown_table(comparison: Comparison) -> str:
    """Write the table as Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(cells, ordered(comparison))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def settings_table(comparison: Comparison) -> str:
    """Write what was fixed for each method, and which rates it was given."""
    lines = [("method", "fixed settings", "learning rates tried", "grid widened")]
    lines.append(("---",) * 4)
    for row in comparison.rows:
        rates = row.sweep.outcome.rates
        tried = f"{len(rates)} from {rates[0]:.1e} to {rates[-1]:.1e}"
        widened = f"{row.sweep.widened} times" if row.sweep.widened else "no"
        lines.append((row.title, row.sweep.method.settings, tried, widened))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_report(comparison: Comparison, pictures: list[str], folder: Path) -> Path:
    """Write the report beside its pictures, and give its place."""
    shown = [name for name in pictures if name != "comparison.png"]
    parts = [
        f"# {len(comparison.rows)} optimizers on {comparison.task.title}",
        _method(comparison),
        markdown_table(comparison),
        _reading(),
        "## Selection guide",
        *(f"- {sentence}" for sentence in selection_guide(comparison)),
        "## What the papers say, and what this run saw",
        *(f"- {sentence}" for sentence in claims(comparison)),
        "## Pictures",
        *(f"![{name.removesuffix('.png')}]({name})" for name in shown),
        "## How each was set",
        settings_table(comparison),
        "## How far this goes",
        LIMITS,
    ]
    place = folder / "report.md"
    place.write_text(_spaced(parts), encoding="utf-8")
    return place


def write_figures(comparison: Comparison, folder: Path) -> Path:
    """Write all figures as JSON, for other programs; what diverged is null."""
    place = folder / "results.json"
    figures = {
        "task": comparison.task.name,
        "steps": comparison.task.steps,
        "seeds": comparison.task.seeds,
        "opening_loss": comparison.opening,
        "target_loss": comparison.target,
        "machine": _machine(),
        "methods": {row.name: _figures(row) for row in comparison.rows},
    }
    place.write_text(json.dumps(figures, indent=1, allow_nan=False), encoding="utf-8")
    return place


def _figures(row: Row) -> dict:
    outcome = row.sweep.outcome
    return {
        "learning_rate": row.rate,
        "final_loss": _numbers(row.losses),
        "test_accuracy": _numbers(row.accuracies),
        "steps_to_target": _numbers(np.array(row.steps)),
        "rates_that_work": _numbers(np.array([row.low, row.high])),
        "state_bytes_per_parameter": row.state_bytes,
        "seconds_per_step": row.seconds,
        "widened": row.sweep.widened,
        "sweep": {
            "learning_rates": _numbers(outcome.rates),
            "validation_loss": _numbers(outcome.validation),
            "test_accuracy": _numbers(outcome.accuracy),
        },
    }


def _numbers(values: np.ndarray) -> Any:
    """Make lists of an array, with nothing where a number is not finite."""
    return np.where(np.isfinite(values), values, None).tolist()


def _method(comparison: Comparison) -> str:
    task = comparison.task
    return (
        f"Each method was trained for {task.steps} steps of {task.batch_size} examples "
        f"with a grid of at least {task.rates} learning rates, three to a factor of "
        f"ten, and {task.seeds} seeds, in one compiled program per method. All had the "
        "same initial weights and the same batches. The grid grew while the best rate "
        "lay on its edge. The rate was chosen by the validation loss; no choice "
        "was made by the test split. The target is a loss of "
        f"{comparison.target:.3g}: nine tenths of the way from the untrained network's "
        f"{comparison.opening:.3g} to the lowest of all. A rate works if it ends there."
    )


def _reading() -> str:
    return (
        "*Final loss*: validation loss after the last step, mean and standard "
        "deviation over the seeds. *Steps to target*: until the training loss, "
        "averaged over the steps just past, meets the target; the median of the seeds. "
        "*Rates that work*: `<` or `>` where the grid ends before the range does. "
        "*State*: what the optimizer keeps beside the parameters. *Time*: a whole "
        "jitted and donated training step, gradient included, median of turns, on "
        f"{_machine()}."
    )


def _machine() -> str:
    device = jax.devices()[0].device_kind
    cores = f"{platform.machine()} with {os.cpu_count()} cores"
    versions = f"Python {platform.python_version()}, jax {jax.__version__}"
    return f"{cores}, jax device {device}, {versions}"


def _spaced(parts: list[str]) -> str:
    """Part paragraphs by an empty line, but not the points of one list."""
    text = parts[0]
    for before, part in pairwise(parts):
        listed = before.startswith("- ") and part.startswith("- ")
        text += ("\n" if listed else "\n\n") + part
    return text + "\n"
