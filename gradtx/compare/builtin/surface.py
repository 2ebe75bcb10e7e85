"""Paths on a surface with two coordinates, where a method's ways can be seen."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.compare.method import Method
from gradtx.core.apply_updates import apply_updates

BEGIN = (-1.4, 2.0)
GOAL = (1.0, 1.0)
STEPS = 200
RATES = np.geomspace(1e-5, 100.0, 71)
STEEPNESS = 10
"""Of the valley's walls. In Rosenbrock's own, 100, what sums up squared gradients is
stopped by the first of them."""
WINDOW = ((-2.0, 2.0), (-1.0, 3.0))
"""What the picture shows of x and of y at least."""
FAR = 10.0
"""A path that goes further than this in x or y came back by luck."""


class Path(NamedTuple):
    """Where a method went with the rate that ends lowest."""

    method: Method
    rate: float
    points: np.ndarray
    """(steps + 1, 2), the first is the start."""
    value: float
    """How high the last point lies."""


def rosenbrock(point: Any) -> Any:
    """Give Rosenbrock's valley (1 - x)² + 10 (y - x²)², lowest at (1, 1)."""
    x, y = point
    return (1 - x) ** 2 + STEEPNESS * (y - x**2) ** 2


def walk(tx: Any) -> jax.Array:
    """Take all steps from the start and give every point of the way."""

    def step(carry: tuple, _: None) -> tuple:
        point, state = carry
        updates, state = tx.update(jax.grad(rosenbrock)(point), state, point)
        point = apply_updates(point, updates)
        return (point, state), point

    begin = jnp.array(BEGIN)
    _, points = jax.lax.scan(step, (begin, tx.init(begin)), length=STEPS)
    return jnp.concatenate([begin[None], points])


def best_path(method: Method) -> Path:
    """Walk with all rates in one program and keep the one that ends lowest."""
    rates = RATES.astype(np.float32)
    walks = jax.jit(jax.vmap(lambda rate: walk(method.build(rate))))
    points = np.asarray(walks(rates))
    values = np.asarray(jax.vmap(rosenbrock)(points[:, -1]))
    near = (np.abs(points) <= FAR).all(axis=(1, 2))
    best = int(np.where(near, values, np.inf).argmin())
    return Path(method, float(rates[best]), points[best], float(values[best]))


def frame(paths: list[Path]) -> np.ndarray:
    """Give the limits of x and of y that hold every path, with a margin."""
    points = np.concatenate([path.points for path in paths])
    low, high = np.array(WINDOW).T
    low = np.minimum(low, points.min(axis=0) - 0.2)
    high = np.maximum(high, points.max(axis=0) + 0.2)
    return np.stack([low, high], axis=1)
