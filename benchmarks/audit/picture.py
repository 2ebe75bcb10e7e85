"""The audit as a picture: bytes per parameter, a panel for every target."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.audit.tables import Row

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

INK = "#333333"
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "font.size": 9,
    "grid.color": "#ececec",
    "savefig.dpi": 110,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
WIDEST = 120  # bytes per parameter that the axis reaches to at most

Point = tuple[str, float, float, float | None]  # name, floor, ours, optax's


def draw(rows: Sequence[Row], titles: dict[str, str], caption: str, path: Path) -> None:
    """Draw what each step moves on each target, beside its floor."""
    lines = max(len(_points(rows, target)) for target in titles)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            ncols=len(titles),
            figsize=(2.6 + 4 * len(titles), 1.4 + 0.17 * lines),
            layout="constrained",
            sharey=True,
            squeeze=False,
        )
        for axes, (target, title) in zip(grid.flat, titles.items(), strict=True):
            _panel(axes, _points(rows, target))
            axes.set_title(title)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper right", ncols=3, frameon=False
        )
        figure.supxlabel(caption, fontsize=8, color="#666666")
        figure.savefig(path)
        plt.close(figure)


def _points(rows: Sequence[Row], target: str) -> list[Point]:
    return [
        (
            f"{row.name}: {own.label}" if own.label else row.name,
            own.floor,
            own.moved,
            row.optax.passages[place].moved if row.optax else None,
        )
        for row in rows
        if row.target == target
        for place, own in enumerate(row.gradtx.passages)
    ]


def _panel(axes: Axes, points: list[Point]) -> None:
    places = range(len(points))
    theirs = [(i, p[3]) for i, p in zip(places, points, strict=True) if p[3]]
    axes.barh(
        places,
        [p[1] for p in points],
        height=0.7,
        color="#dddddd",
        label="floor: every array once",
    )
    axes.plot(
        [min(x, WIDEST) for _, x in theirs],
        [i for i, _ in theirs],
        "s",
        color="#E69F00",
        markersize=5,
        label="optax",
    )
    axes.plot(
        [min(p[2], WIDEST) for p in points],
        places,
        "o",
        color="#0072B2",
        markersize=4,
        label="gradtx",
    )
    axes.set_yticks(places, [p[0] for p in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlim(0)
    axes.set_xlabel("bytes per parameter and step")
