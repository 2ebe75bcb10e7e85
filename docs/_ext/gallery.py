"""The gallery: a card for each method of the catalogue, with its path and its curve."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import numpy as np

STEPS = 200
START = (-1.2, 1.0)
SIZE = 220
EDGES = ((-2.0, 2.0), (-1.0, 2.5))
EXPONENTS = (-6.0, 2.0)  # of ten, at the curve's lower and upper edge
URL = re.compile(r"https?://[^\s,;)]+")


def rosenbrock(params: Any) -> Any:
    """Return the height of a valley that bends: its lowest point is (1, 1)."""
    x, y = params["x"]
    return (1 - x) ** 2 + 20 * (y - x**2) ** 2


def pages() -> Iterator[tuple[str, str]]:
    """Yield the page of all cards."""
    cards = "\n".join(_card(row) for row in shown())
    about = (
        "Every method of the tests' catalogue, with the settings that it is tested "
        "with. Its path starts at the ring and ends at the dot, after "
        f"{STEPS} steps on Rosenbrock's function, whose lowest point is the cross: the "
        "settings are tuned for nothing, so that a path shows how a method moves and "
        "not how good it is. Beside it is the height of the path by step, on a "
        "logarithmic scale from 10⁻⁶ to 10². Methods that need more than gradients "
        "have no picture."
    )
    yield "gallery.md", f"# Gallery\n\n{about}\n\n{cards}\n"


def shown() -> list[catalogue.Row]:
    """Return the first row of every factory."""
    first: dict[Any, catalogue.Row] = {}
    for row in catalogue.ROWS:
        first.setdefault(row.make, row)
    return list(first.values())


def _card(row: catalogue.Row) -> str:
    about = inspect.getdoc(row.make) or ""
    summary, _, rest = about.partition("\n\n")
    lines = [f"## {row.name}", "", " ".join(summary.split()), ""]
    if not row.needs:
        lines += [pictures(row), ""]
    blocks = rest.partition("Args:")[0].split("\n\n")
    equations = [x for x in blocks if x.startswith("    ")]
    if equations:
        lines += ["```text", inspect.cleandoc(equations[0]), "```", ""]
    lines += ["```python", repr(row.build()), "```", ""]
    lines += [f"- State: {row.state_bytes:g} bytes for each float32 parameter."]
    source = " ".join(rest.partition("Reference")[2].partition(":")[2].split())
    if source:
        lines += ["- Source: " + URL.sub(r"<\g<0>>", source)]
    return "\n".join([*lines, ""])


def path_of(row: catalogue.Row) -> Any:
    """Return the points that a method comes through."""
    tx = row.build()

    @jax.jit
    def run(params: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            params, state = carry
            grads = jax.grad(rosenbrock)(params)
            updates, state = tx.update(grads, state, params)
            params = jax.tree.map(jnp.add, params, updates)
            return (params, state), params["x"]

        return jax.lax.scan(body, (params, tx.init(params)), length=STEPS)[1]

    start = {"x": jnp.asarray(START)}
    return np.concatenate([np.asarray(START)[None], np.asarray(run(start))])


def pictures(row: catalogue.Row) -> str:
    """Draw a path, and beside it the curve of its heights, within the page."""
    points = path_of(row)
    return _path(row.name, points) + " " + _curve(row.name, points)


def _path(name: str, points: Any) -> str:
    placed = [_place(x) for x in points]
    (x0, y0), (x1, y1), (xc, yc) = placed[0], placed[-1], _place((1.0, 1.0))
    return _svg(
        f"The path of {name} on Rosenbrock's function",
        _line(placed),
        f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="4" fill="none" stroke="currentColor"/>'
        f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="3" fill="currentColor"/>'
        f'<path d="M{xc - 4:.1f} {yc:.1f}h8m-4-4v8" stroke="currentColor"/>',
    )


def _curve(name: str, points: Any) -> str:
    low, high = EXPONENTS
    heights = np.asarray(rosenbrock({"x": points.T}), np.float64)
    heights = np.nan_to_num(heights, nan=10**high, posinf=10**high)
    share = (np.log10(np.clip(heights, 10**low, 10**high)) - low) / (high - low)
    steps = SIZE * np.arange(len(points)) / STEPS
    title = f"The height of {name}'s path by step, from 1e{low:g} to 1e{high:g}"
    return _svg(title, _line(zip(steps, SIZE * (1 - share), strict=True)), "")


def _line(points: Any) -> str:
    shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{shown}" fill="none" stroke="currentColor"/>'


def _svg(title: str, *parts: str) -> str:
    return (
        f'<svg role="img" aria-label="{title}" width="{SIZE}" height="{SIZE}" '
        f'viewBox="0 0 {SIZE} {SIZE}"><title>{title}</title>'
        f'<rect width="{SIZE}" height="{SIZE}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.3"/>{"".join(parts)}</svg>'
    )


def _place(point: Any) -> tuple[float, float]:
    (left, right), (low, high) = EDGES
    x, y = (np.nan_to_num(float(z), nan=0.0) for z in point)
    x = float(np.clip((x - left) / (right - left), 0, 1))
    y = float(np.clip((y - low) / (high - low), 0, 1))
    return SIZE * x, SIZE * (1 - y)
