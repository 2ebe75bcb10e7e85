"""The gallery: a card for each method of the catalogue, with its path on a function."""

import inspect
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
        "not how good it is."
    )
    yield "gallery.md", f"# Gallery\n\n{about}\n\n{cards}\n"


def shown() -> list[catalogue.Row]:
    """Return the first row of every factory."""
    first: dict[Any, catalogue.Row] = {}
    for row in catalogue.ROWS:
        if not row.needs:
            first.setdefault(row.make, row)
    return list(first.values())


def _card(row: catalogue.Row) -> str:
    about = inspect.getdoc(row.make) or ""
    summary, _, rest = about.partition("\n\n")
    lines = [f"## {row.name}", "", " ".join(summary.split()), "", picture(row), ""]
    blocks = rest.partition("Args:")[0].split("\n\n")
    equations = [x for x in blocks if x.startswith("    ")]
    if equations:
        lines += ["```text", inspect.cleandoc(equations[0]), "```", ""]
    lines += ["```python", repr(row.build()), "```", ""]
    lines += [f"- State: {row.state_bytes:g} bytes for each float32 parameter."]
    source = " ".join(rest.partition("Reference")[2].partition(":")[2].split())
    if source:
        lines += [f"- Source: {source}"]
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


def picture(row: catalogue.Row) -> str:
    """Draw a path as a picture within the page."""
    points = [_place(x) for x in path_of(row)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    (x0, y0), (x1, y1), (xc, yc) = points[0], points[-1], _place((1.0, 1.0))
    return (
        f'<svg role="img" aria-label="The path of {row.name}" width="{SIZE}" '
        f'height="{SIZE}" viewBox="0 0 {SIZE} {SIZE}">'
        f"<title>The path of {row.name} on Rosenbrock's function</title>"
        f'<rect width="{SIZE}" height="{SIZE}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.3"/>'
        f'<polyline points="{line}" fill="none" stroke="currentColor"/>'
        f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="4" fill="none" stroke="currentColor"/>'
        f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="3" fill="currentColor"/>'
        f'<path d="M{xc - 4:.1f} {yc:.1f}h8m-4-4v8" stroke="currentColor"/></svg>'
    )


def _place(point: Any) -> tuple[float, float]:
    (left, right), (low, high) = EDGES
    x, y = (np.nan_to_num(float(z), nan=0.0) for z in point)
    x = float(np.clip((x - left) / (right - left), 0, 1))
    y = float(np.clip((y - low) / (high - low), 0, 1))
    return SIZE * x, SIZE * (1 - y)
