"""The picture of each method's way down a surface."""

from pathlib import Path as FilePath
from textwrap import fill

import numpy as np

from gradtx.compare.builtin.surface import BEGIN, GOAL, Path, frame, rosenbrock
from gradtx.compare.drawing import INK, STYLE, Axes, Figure, plt, save


def draw_paths(paths: list[Path], place: FilePath) -> None:
    """Draw each method's way down Rosenbrock's valley in a panel of its own."""
    with plt.rc_context(STYLE):
        save(_figure(paths), place)


def _figure(paths: list[Path]) -> Figure:
    limits, columns = frame(paths), min(5, len(paths))
    lines = -(-len(paths) // columns)
    figure, grid = plt.subplots(
        lines,
        columns,
        figsize=(0.8 + 2.6 * columns, 0.7 + 2.6 * lines),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, path in zip(grid.flat, paths, strict=False):
        _path_panel(axes, path, limits)
    for axes in grid.flat[len(paths) :]:
        axes.axis("off")
    title = (
        f"{len(paths[0].points) - 1} steps in Rosenbrock's valley, each at the rate "
        "with which it ends lowest (square: start, star: minimum)"
    )
    figure.suptitle(fill(title, 10 + 26 * columns), fontsize=11)
    return figure


def _path_panel(axes: Axes, path: Path, limits: np.ndarray) -> None:
    x, y = np.meshgrid(*(np.linspace(low, high, 161) for low, high in limits))
    heights = np.asarray(rosenbrock(np.stack([x, y])))
    axes.contourf(x, y, np.log10(heights + 1e-3), levels=14, cmap="Greys", alpha=0.3)
    axes.plot(*path.points.T, color=path.method.colour, linewidth=1.4)
    axes.plot(*path.points.T, ".", color=path.method.colour, markersize=3)
    axes.plot(*BEGIN, "s", color=INK, markersize=5)
    axes.plot(*GOAL, "*", color="white", markeredgecolor=INK, markersize=11)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.grid(visible=False)
    axes.set_title(path.method.title, fontsize=11, color=path.method.colour)
    axes.text(
        0.04,
        0.04,
        f"rate {path.rate:.2g}, ends at {path.value:.2g}",
        transform=axes.transAxes,
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 2},
    )
