"""Pictures of the losses in every format."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.formats import FORMATS, REFERENCE, Result
from gradtx.compare.drawing import INK, STYLE, Axes, plt, save

COLOURS = dict(zip(FORMATS, mpl.colormaps["tab20"](range(20)), strict=False))


def formats(found: Mapping[str, Mapping[str, Result]], path: Path) -> None:
    """Draw by title the losses of each step, and the validation losses' spread."""
    size = (12, 1 + 3.6 * len(found))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(found), 2, figsize=size, layout="constrained", squeeze=False
        )
        for (left, right), (title, results) in zip(grid, found.items(), strict=True):
            _curves(left, results)
            left.set_title(title)
            _ends(right, results)
        save(figure, path)


def _curves(axes: Axes, results: Mapping[str, Result]) -> None:
    """Draw each format's loss in parts of float32's, as the curves would all but meet.

    Without float32 among them, the losses themselves.
    """
    smooth = {name: _smooth(result) for name, result in results.items()}
    reference = smooth.get(REFERENCE, 1.0)
    for name, values in smooth.items():
        last = results[name].losses.shape[1]
        numbers = np.arange(last - len(values) + 1, last + 1)
        axes.plot(numbers, values / reference, color=COLOURS[name], linewidth=1.4)
    axes.set_xlabel("step")
    of = " / float32's" if REFERENCE in results else ""
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
