"""The gallery: a card for each method of the catalogue, with its path and its curve."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import numpy as np

from _ext.arguments import ROLE, cell

STEPS = 200
START = (-1.2, 1.0)
SIZE = 220
EDGES = ((-2.0, 2.0), (-1.0, 2.5))
FACTORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the catalogue's rate
EXPONENTS = (-6.0, 2.0)  # of ten, at the curve's lower and upper edge
URL = re.compile(r"https?://[^\s,;)]+")


def rosenbrock(params: Any) -> Any:
    """Return the height of a valley that bends: its lowest point is (1, 1)."""
    x, y = params["x"].ravel()
    return (1 - x) ** 2 + 20 * (y - x**2) ** 2


def pages() -> Iterator[tuple[str, str]]:
    """Yield the page of all cards."""
    cards = "\n".join(_card(row) for row in shown())
    about = (
        "Every method of the tests' catalogue, with the settings that it is tested "
        "with. Its path starts at the ring and ends at the dot, after "
        f"{STEPS} steps on Rosenbrock's function, whose lowest point is the cross, at "
        f"the best of {len(FACTORS)} rates, named where the pointer rests. Nothing "
        "else is tuned: a path shows how a method moves and not how good it is. "
        "Methods for matrices have the point as a matrix of one row. Beside it "
        "is the height of the path by step, on a logarithmic scale from 10⁻⁶ to 10². "
        "Methods that need more than gradients have no picture."
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
    lines = [f"## {row.name}", "", cell(" ".join(summary.split())), ""]
    if not row.needs:
        lines += [pictures(row), ""]
    blocks = rest.partition("Args:")[0].split("\n\n")
    equations = [x for x in blocks if x.startswith("    ")]
    if equations:
        lines += ["```text", ROLE.sub(r"\1", inspect.cleandoc(equations[0])), "```", ""]
    lines += ["```python", repr(row.build()), "```", ""]
    lines += [f"- State: {row.state_bytes:g} bytes for each float32 parameter."]
    source = " ".join(rest.partition("Reference")[2].partition(":")[2].split())
    if source:
        lines += ["- Source: " + URL.sub(r"<\g<0>>", source)]
    return "\n".join([*lines, ""])


def path_of(row: catalogue.Row) -> tuple[Any, float | None]:
    """Return the points that a method comes through at its best rate, and the rate."""

    def path(tx: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            params, state = carry
            grads = jax.grad(rosenbrock)(params)
            updates, state = tx.update(grads, state, params)
            params = jax.tree.map(jnp.add, params, updates)
            return (params, state), params["x"]

        start = {"x": jnp.asarray(START).reshape(shape)}
        steps = jax.lax.scan(body, (start, tx.init(start)), length=STEPS)[1]
        return jnp.concatenate([start["x"][None], steps]).reshape(-1, 2)

    # Methods for matrices would leave a vector to another method.
    shape = (1, 2) if len(row.shape) > 1 else (2,)
    rate = row.settings.get("learning_rate")
    if rate is None:
        return np.asarray(jax.jit(lambda: path(row.build()))()), None
    rates = np.float32(rate) * np.float32(FACTORS)
    at = jax.jit(jax.vmap(lambda rate: path(row.build(learning_rate=rate))))
    paths = np.asarray(at(rates))
    best = int(np.argmin(_heights(paths[:, -1])))
    return paths[best], float(rates[best])


def _heights(points: Any) -> Any:
    """Return how high points are; one that is lost is as high as can be shown."""
    most = 10 ** EXPONENTS[1]
    with np.errstate(over="ignore"):
        heights = np.asarray([rosenbrock({"x": x}) for x in np.float64(points)])
    return np.nan_to_num(heights, nan=most, posinf=most)


def pictures(row: catalogue.Row) -> str:
    """Draw a path, and beside it the curve of its heights, within the page."""
    points, rate = path_of(row)
    at = "" if rate is None else f" at a rate of {rate:.2g}"
    lost = ~np.isfinite(points).all(axis=1)
    seen = points[: int(np.argmax(lost))] if lost.any() else points
    return _path(row.name + at, seen) + " " + _curve(row.name + at, points)


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
    heights = np.clip(_heights(points), 10**low, 10**high)
    share = (np.log10(heights) - low) / (high - low)
    steps = SIZE * np.arange(len(points)) / STEPS
    title = f"The height by step of {name}, from 1e{low:g} to 1e{high:g}"
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
    x, y = point
    x = float(np.clip((x - left) / (right - left), 0, 1))
    y = float(np.clip((y - low) / (high - low), 0, 1))
    return SIZE * x, SIZE * (1 - y)
