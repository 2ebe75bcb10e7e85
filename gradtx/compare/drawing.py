"""Small tools for the pictures: style, scales, names beside lines, small files."""

from io import BytesIO
from pathlib import Path

import numpy as np

from gradtx.compare.method import Method
from gradtx.compare.needs import needed

with needed("a picture"):
    from matplotlib import pyplot as plt, rc_params_from_file
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
    from PIL import Image

STYLE = rc_params_from_file(
    Path(__file__).with_name("style.mplstyle"), use_default_template=False
)
INK = STYLE["text.color"]


def save(figure: Figure, path: Path) -> None:
    """Write a small PNG: 128 colours are plenty for lines and letters."""
    memory = BytesIO()
    figure.savefig(memory, format="png")
    plt.close(figure)
    Image.open(memory).convert("RGB").quantize(128).save(path, optimize=True)


def line_style(method: Method) -> dict:
    """Give a method's colour and dashes, as pyplot wants them."""
    style = (0, method.dashes) if method.dashes else "-"
    return {"color": method.colour, "linestyle": style, "linewidth": 1.9}


def log_heights(axes: Axes, low: float, high: float) -> None:
    """Make heights logarithmic from ``low`` to ``high``, labelled in plain numbers."""
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    narrow = high < 8 * low
    locator = MaxNLocator(8) if narrow else LogLocator(subs=(1.0, 2.0, 5.0))
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))


def _plain(value: float, _: int) -> str:
    return np.format_float_positional(value, precision=6, trim="-")


def name_ends(axes: Axes, ends: list[tuple[Method, float]]) -> None:
    """Write each name at the right, moved apart where lines end close together."""
    low, high = np.log(axes.get_ylim())
    values = [np.clip(np.log(value), low, high) for _, value in ends]
    wanted = [(value - low) / (high - low) for value in values]
    for (method, _), end, place in zip(ends, wanted, spread(wanted), strict=True):
        axes.plot(
            (1.0, 1.015, 1.045),
            (end, end, place),
            transform=axes.transAxes,
            clip_on=False,
            color=method.colour,
            linewidth=0.8,
        )
        axes.text(
            1.05,
            place,
            method.title,
            transform=axes.transAxes,
            color=method.colour,
            va="center",
        )


def spread(wanted: list[float], gap: float = 0.048) -> list[float]:
    """Move heights apart to at least ``gap``, keeping their order, within 0 to 1."""
    order = np.argsort(wanted)
    places = np.clip(np.asarray(wanted, float)[order], 0.0, 1.0)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap)
    if len(places):
        places[-1] = min(places[-1], 1.0)
    for index in range(len(places) - 2, -1, -1):
        places[index] = min(places[index], places[index + 1] - gap)
    result = np.empty(len(places))
    result[order] = places
    return result.tolist()
