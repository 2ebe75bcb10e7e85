"""The figures as a picture: one panel a case, one group of points a method."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.measure import Entry, Row

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

LOOKS = {
    "gradtx": ("#0072B2", "o"),
    "optax": ("#E69F00", "s"),
    "torch": ("#777777", "^"),
}
INK = "#333333"
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "savefig.dpi": 110,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
APART = 0.24


def draw(rows: Sequence[Row], titles: dict[str, str], caption: str, path: Path) -> None:
    """Draw the median times with their quartiles, and the floor of each method."""
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(titles),
            figsize=(11, 1.2 + 2.7 * len(titles)),
            layout="constrained",
            squeeze=False,
        )
        for axes, (case, title) in zip(grid.flat, titles.items(), strict=True):
            _panel(axes, [row for row in rows if row.case == case])
            axes.set_title(title)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper right", ncols=4, frameon=False
        )
        figure.supxlabel(caption, fontsize=8.5, color="#666666")
        figure.savefig(path)
        plt.close(figure)


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    for place, library in enumerate(LOOKS):
        held = [(i, row.entries.get(library)) for i, row in enumerate(rows)]
        points = [(i + (place - 1) * APART, entry) for i, entry in held if entry]
        _points(axes, points, library)
    for index, row in enumerate(rows):
        entry = row.entries["gradtx"]
        floor = 1e3 * entry.seconds.median * entry.of_copy
        ends = (index - 1.6 * APART, index + 1.6 * APART)
        label = "every byte once, at the speed of a copy" if index == 0 else None
        axes.plot(ends, (floor, floor), color=INK, linewidth=1.4, label=label)
    for index in range(1, len(rows)):
        axes.axvline(index - 0.5, color="#e6e6e6", linewidth=0.8)
    axes.set_xticks(range(len(rows)), [row.method for row in rows])
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("ms per step")


def _points(axes: Axes, points: Sequence[tuple[float, Entry]], library: str) -> None:
    if not points:
        return
    times = [entry.seconds for _, entry in points]
    middles = [1e3 * s.median for s in times]
    below = [1e3 * (s.median - s.q1) for s in times]
    above = [1e3 * (s.q3 - s.median) for s in times]
    colour, marker = LOOKS[library]
    axes.errorbar(
        [place for place, _ in points],
        middles,
        (below, above),
        fmt=marker,
        color=colour,
        markersize=7,
        elinewidth=1.6,
        label=library,
    )
