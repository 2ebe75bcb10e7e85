"""The figures as pictures: steps, bytes, and losses in every format."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.measure import Entry, Row
from benchmarks.survival.formats import REFERENCE
from benchmarks.survival.training import Result

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

STYLE = Path(__file__).with_name("style.mplstyle")
INK, PALE = "#333333", "#e6e6e6"
LOOKS = {
    "gradtx": ("#0072B2", "o"),
    "optax": ("#E69F00", "s"),
    "torch": ("#777777", "^"),
}
APART = 0.24  # of the libraries' points
WIDEST = 120  # bytes per parameter that an axis reaches to at most


@contextmanager
def panels(
    path: Path, caption: str, size: tuple[float, float], legend: int = 0, **grid: Any
) -> Iterator[np.ndarray]:
    """Give the axes to draw in; then add a legend and a caption, and write the file.

    Args:
      path: of the file.
      caption: stands below.
      size: in inches.
      legend: how many columns the legend has; 0 for none.
      **grid: how many rows and columns of axes there are, and what they share.
    """
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(
            figsize=size, layout="constrained", squeeze=False, **grid
        )
        yield axes
        if legend:
            named = axes.flat[0].get_legend_handles_labels()
            figure.legend(*named, loc="outside upper right", ncols=legend)
        figure.supxlabel(caption, fontsize=8.5, color="#666666")
        figure.savefig(path)
        plt.close(figure)


# --- steps ---------------------------------------------------------------------


def steps(
    rows: Sequence[Row], titles: dict[str, str], caption: str, path: Path
) -> None:
    """Draw the median times with their quartiles, and each method's lower bound."""
    size = (11, 1.2 + 2.7 * len(titles))
    with panels(path, caption, size, legend=4, nrows=len(titles)) as grid:
        for axes, (case, title) in zip(grid.flat, titles.items(), strict=True):
            _times(axes, [row for row in rows if row.case == case])
            axes.set_title(title)


def _times(axes: Axes, rows: Sequence[Row]) -> None:
    for place, library in enumerate(LOOKS):
        held = [(i, row.entries.get(library)) for i, row in enumerate(rows)]
        points = [(i + (place - 1) * APART, entry) for i, entry in held if entry]
        if points:
            _points(axes, points, library)
    for index, row in enumerate(rows):
        entry = row.entries["gradtx"]
        bound = 1e3 * entry.seconds.median * entry.of_copy
        ends = (index - 1.6 * APART, index + 1.6 * APART)
        label = "every byte once, at the speed of a copy" if index == 0 else None
        axes.plot(ends, (bound, bound), color=INK, linewidth=1.4, label=label)
        axes.axvline(index - 0.5, color=PALE, linewidth=0.8)
    axes.grid(visible=False, axis="x")
    axes.set_xticks(range(len(rows)), [row.method for row in rows])
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("ms per step")


def _points(axes: Axes, points: Sequence[tuple[float, Entry]], library: str) -> None:
    places = [place for place, _ in points]
    low, middle, high = 1e3 * np.array([entry.seconds for _, entry in points]).T
    colour, marker = LOOKS[library]
    axes.errorbar(
        *(places, middle, (middle - low, high - middle)),
        fmt=marker,
        color=colour,
        markersize=7,
        elinewidth=1.6,
        label=library,
    )


# --- bytes ---------------------------------------------------------------------

Point = tuple[str, float, float, float | None]  # name, lower bound, ours, optax's


def traffic(points: Mapping[str, Sequence[Point]], caption: str, path: Path) -> None:
    """Draw what each step moves on each target, and its lower bound."""
    size = (2.6 + 4 * len(points), 1.4 + 0.17 * max(map(len, points.values())))
    shape = {"ncols": len(points), "sharey": True}
    with panels(path, caption, size, legend=3, **shape) as grid:
        for axes, (title, held) in zip(grid.flat, points.items(), strict=True):
            _bytes(axes, held)
            axes.set_title(title)


def _bytes(axes: Axes, points: Sequence[Point]) -> None:
    names, bounds, ours, theirs = zip(*points, strict=True)
    places = range(len(points))
    axes.barh(
        places, bounds, height=0.7, color="#dddddd", label="floor: every array once"
    )
    for library, moved, size in (("optax", theirs, 5), ("gradtx", ours, 4)):
        colour, marker = LOOKS[library]
        held = [(min(x, WIDEST), i) for i, x in enumerate(moved) if x]
        axes.plot(
            *(np.array(held).reshape(-1, 2).T),
            marker,
            color=colour,
            markersize=size,
            label=library,
        )
    axes.set_yticks(places, names)
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlim(0)
    axes.set_xlabel("bytes per parameter and step")


# --- losses --------------------------------------------------------------------

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
Found = Mapping[str, Mapping[str, Result]]


def formats(found: Found, titles: Mapping[str, str], caption: str, path: Path) -> None:
    """Draw the losses by the step, and the validation losses with their spread."""
    size = (12, 1 + 3.6 * len(found))
    with panels(path, caption, size, nrows=len(found), ncols=2) as grid:
        for (left, right), (task, results) in zip(grid, found.items(), strict=True):
            _curves(left, results)
            left.set_title(titles[task])
            _ends(right, results)


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
        numbers = np.arange(last - len(smooth) + 1, last + 1)
        axes.plot(numbers, smooth, color=COLOURS[name], linewidth=1.4)
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
        values, colour = results[name].validation, COLOURS[name]
        axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.45)
        axes.plot(values.mean(), place, "|", color=colour, ms=18, mew=2.5)
    if REFERENCE in results:
        axes.axvline(results[REFERENCE].validation.mean(), color=INK, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("validation loss: seeds, and their mean")
