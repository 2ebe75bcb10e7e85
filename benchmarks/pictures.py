"""Pictures of the losses in every format."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.formats import FORMATS, REFERENCE
from gradtx.compare.drawing import INK, STYLE, Axes, plt, save
from gradtx.compare.measures import smooth
from gradtx.compare.training import Outcome, window

COLOURS = dict(zip(FORMATS, mpl.colormaps["tab20"](range(20)), strict=False))


def formats(found: Mapping[str, Mapping[str, Outcome]], path: Path) -> None:
    """Draw by title the losses of each step, and the validation losses' spread."""
    size = (12, 1 + 3.6 * len(found))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(found), 2, figsize=size, layout="constrained", squeeze=False
        )
        for (left, right), (title, results) in zip(grid, found.items(), strict=True):
            left.set_title(title)
            _curves(left, results)
            _ends(right, results)
        save(figure, path)


def _curves(axes: Axes, results: Mapping[str, Outcome]) -> None:
    """Draw each format's loss by float32's: the curves themselves all but meet."""
    means = {name: x.train[0].mean(axis=0) for name, x in results.items()}
    wide = window(len(means[REFERENCE]))
    curves = {name: smooth(mean, wide) for name, mean in means.items()}
    for name, curve in curves.items():
        steps = np.arange(1, len(curve) + 1)
        axes.plot(steps, curve / curves[REFERENCE], color=COLOURS[name], linewidth=1.4)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss / float32's, running mean")


def _ends(axes: Axes, results: Mapping[str, Outcome]) -> None:
    names = list(results)[::-1]
    for place, name in enumerate(names):
        (values,), colour = results[name].final, COLOURS[name]
        axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.45)
        axes.plot(values.mean(), place, "|", color=colour, ms=18, mew=2.5)
    axes.axvline(results[REFERENCE].final.mean(), color=INK, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("validation loss: seeds, and their mean")
