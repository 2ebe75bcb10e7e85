"""The table and the picture of what came of every format."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from rich import box
from rich.table import Table

from benchmarks.picture import INK, STYLE
from benchmarks.survival.training import Result

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

REFERENCE = "float32"
COLOURS = {
    "float32": INK,
    "bfloat16-state": "#56B4E9",
    "float8-state": "#009E73",
    "int8-state": "#0072B2",
    "int8-rows-state": "#56627A",
    "int4-state": "#CC79A7",
    "bfloat16-master": "#8A6A00",
    "bfloat16-compensated": "#4C9A2A",
    "bfloat16-compensated-int8": "#7B61A8",
    "bfloat16-stochastic": "#E69F00",
    "bfloat16-plain": "#D55E00",
}


def away(result: Result, reference: Result) -> float:
    """Return by how many of float32's standard deviations the validation loss is off.

    Seeds begin alike and see the same batches in all formats, but the deviation is that
    between the seeds: what chance does anyway.
    """
    spread = reference.validation.std(ddof=1)
    return float((result.validation.mean() - reference.validation.mean()) / spread)


def table(title: str, results: Mapping[str, Result], style: box.Box) -> Table:
    """Lay out one task: a row for every format."""
    found = Table(title=title, box=style, title_justify="left")
    found.add_column("format")
    for name in ("weights B/param", "state B/param", "training loss"):
        found.add_column(name, justify="right")
    found.add_column("validation loss", justify="right")
    found.add_column("off float32, in its sd", justify="right")
    for name, result in results.items():
        reference = results.get(REFERENCE)
        off = "" if reference is None else f"{away(result, reference):+.2f}"
        found.add_row(
            name,
            f"{result.weight_bytes:.2f}",
            f"{result.state_bytes:.2f}",
            _told(_last(result)),
            _told(result.validation),
            off,
        )
    return found


def _last(result: Result) -> np.ndarray:
    """Return each seed's mean loss over the last tenth of the steps."""
    return result.losses[:, -max(result.losses.shape[1] // 10, 1) :].mean(axis=1)


def _told(values: np.ndarray) -> str:
    return f"{values.mean():.4f} ±{values.std(ddof=1):.4f}"


def draw(
    found: Mapping[str, Mapping[str, Result]],
    titles: Mapping[str, str],
    caption: str,
    path: Path,
) -> None:
    """Draw the losses by the step, and the validation losses with their spread."""
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(found),
            2,
            figsize=(12, 1 + 3.6 * len(found)),
            layout="constrained",
            squeeze=False,
        )
        for (left, right), (task, results) in zip(grid, found.items(), strict=True):
            _curves(left, results)
            left.set_title(titles[task])
            _ends(right, results)
        figure.supxlabel(caption, fontsize=8.5, color="#666666")
        figure.savefig(path)
        plt.close(figure)


def _curves(axes: Axes, results: Mapping[str, Result]) -> None:
    """Draw each format's loss in parts of float32's, as the curves would all but meet.

    Without float32 among them, the losses themselves.
    """
    reference = results.get(REFERENCE)
    for name, result in results.items():
        smooth = _smooth(result)
        if reference is not None:
            smooth = smooth / _smooth(reference)
        last = result.losses.shape[1]
        steps = np.arange(last - len(smooth) + 1, last + 1)
        axes.plot(steps, smooth, color=COLOURS[name], linewidth=1.4)
    axes.set_xlabel("step")
    of = "" if reference is None else " / float32's"
    axes.set_ylabel(f"training loss{of}, running mean")


def _smooth(result: Result) -> np.ndarray:
    mean = result.losses.mean(axis=0)
    width = max(len(mean) // 20, 1)
    return np.convolve(mean, np.ones(width) / width, mode="valid")


def _ends(axes: Axes, results: Mapping[str, Result]) -> None:
    names = list(results)[::-1]
    for place, name in enumerate(names):
        values = results[name].validation
        axes.plot(values, [place] * len(values), "o", color=COLOURS[name], alpha=0.45)
        axes.plot(values.mean(), place, "|", color=COLOURS[name], ms=18, mew=2.5)
    if REFERENCE in results:
        axes.axvline(results[REFERENCE].validation.mean(), color=INK, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("validation loss: seeds, and their mean")
    axes.grid(axis="x")
