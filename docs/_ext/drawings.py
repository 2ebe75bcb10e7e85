"""Pictures of paths and losses, drawn within the page in the color of its text."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from _ext import runs

SIZE = 220
EDGES = {
    "Rosenbrock": ((-2.0, 2.0), (-1.0, 2.5)),
    "Rastrigin": ((-3.0, 3.0), (-3.0, 3.0)),
}
HIGHEST = 3.0  # loss that is shown
Points = Iterable[tuple[float, float]]


def pictures(name: str, found: dict[str, Any]) -> str:
    """Draw both paths and the losses."""
    drawn = [_path(name, where, found[where]) for where in EDGES]
    return "\n".join(["<p>", *drawn, _losses(name, found["digits"]), "</p>"])


def _path(name: str, where: str, found: dict[str, Any]) -> str:
    points = [runs.STARTS[where], *found["values"]]
    placed = [_place(where, x) for x in points]
    (x0, y0), (x1, y1) = placed[0], placed[-1]
    xc, yc = _place(where, runs.LOWEST[where])
    return _svg(
        f"{where}, rate {found['rate']:g}",
        f"The path of {name} on {where}'s function, which ends at a height of "
        f"{found['last']:g}",
        _ground(where),
        _line(placed),
        f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="4" fill="none" stroke="currentColor"/>'
        f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="3" fill="currentColor"/>'
        f'<path d="M{xc - 4:.1f} {yc:.1f}h8m-4-4v8" stroke="currentColor"/>',
    )


def _ground(where: str) -> str:
    """Draw the bottom of the valley, or the hollows."""
    if where == "Rosenbrock":
        valley = [_place(where, (x, x * x)) for x in np.linspace(-1.6, 1.6, 33)]
        return _line(valley, "stroke-opacity='0.3' stroke-dasharray='2 4'")
    hollows = [_place(where, (x, y)) for x in range(-2, 3) for y in range(-2, 3)]
    drawn = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in hollows)
    return (
        f'<path d="{drawn}" stroke="currentColor" stroke-opacity="0.3" '
        'stroke-width="5" stroke-linecap="round"/>'
    )


def _losses(name: str, found: dict[str, Any]) -> str:
    heights = np.clip(found["values"], 0, HIGHEST) / HIGHEST
    steps = np.linspace(0, SIZE, len(heights))
    return _svg(
        f"Digits, rate {found['rate']:g}",
        f"The training loss of {name} on handwritten digits by step, from 0 to "
        f"{HIGHEST:g}, which ends at {found['last']:g}",
        _line(zip(steps, SIZE * (1 - heights), strict=True)),
    )


def _line(points: Points, more: str = "") -> str:
    shown = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return f'<polyline points="{shown}" fill="none" stroke="currentColor" {more}/>'


def _svg(title: str, about: str, *parts: str) -> str:
    high = SIZE + 20
    return (
        f'<svg role="img" aria-label="{about}" width="{SIZE}" height="{high}" '
        f'viewBox="0 -20 {SIZE} {high}"><title>{about}</title>'
        f'<text y="-6" font-size="13" fill="currentColor">{title}</text>'
        f'<rect width="{SIZE}" height="{SIZE}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.3"/>{"".join(parts)}</svg>'
    )


def _place(where: str, point: Any) -> tuple[float, float]:
    (left, right), (low, high) = EDGES[where]
    x, y = point
    x = float(np.clip((x - left) / (right - left), 0, 1))
    y = float(np.clip((y - low) / (high - low), 0, 1))
    return SIZE * x, SIZE * (1 - y)
