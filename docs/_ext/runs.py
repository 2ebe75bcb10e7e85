"""What the gallery's pictures show: short runs, each at the best of a few rates.

They take minutes to compile, so that what came out is recorded in `FILE`:
`python docs/_ext/runs.py` runs what the tests' catalogue has and the file has not, or
has with other settings, and a test says when that is so.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import gradtx

FILE = ROOT / "docs" / "outcomes" / "gallery.json"
STEPS = 200
EVERY = 2  # one of so many points is recorded
FACTORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the catalogue's rate
STARTS = {"Rosenbrock": (-1.2, 1.0), "Rastrigin": (2.2, -1.8)}
LOWEST = {"Rosenbrock": (1.0, 1.0), "Rastrigin": (0.0, 0.0)}
BATCH, HIDDEN = 64, 16


def rosenbrock(x: Any) -> Any:
    """Return the height of a valley that bends, lowest at (1, 1)."""
    return (1 - x[0]) ** 2 + 20 * (x[1] - x[0] ** 2) ** 2


def rastrigin(x: Any) -> Any:
    """Return the height of a bowl with many hollows, lowest at 0."""
    return 20 + (x**2 - 10 * jnp.cos(2 * jnp.pi * x)).sum(0)


FUNCTIONS = {"Rosenbrock": rosenbrock, "Rastrigin": rastrigin}


def shown() -> list[catalogue.Row]:
    """Return the first row of every factory."""
    first: dict[Any, catalogue.Row] = {}
    for row in catalogue.ROWS:
        first.setdefault(row.make, row)
    return list(first.values())


def recorded() -> dict[str, Any]:
    """Return what the file has, by the name of a row."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def missing() -> list[catalogue.Row]:
    """Return the rows that the file lacks, or has with other settings."""
    have = recorded()
    return [row for row in shown() if have.get(row.name, {}).get("made") != _made(row)]


def run(row: catalogue.Row) -> dict[str, Any]:
    """Return the best path on both functions, and the best losses on digits."""
    tuned = "learning_rate" in row.settings
    rate = row.settings.get("learning_rate", 1.0)
    rates = np.float32(rate) * np.float32(FACTORS if tuned else (1.0,))

    def at(rate: Any) -> Any:
        tx = row.build(learning_rate=rate) if tuned else row.build()
        paths = {name: _path(row, tx, name) for name in FUNCTIONS}
        return paths | {"digits": _digits(row, tx)}

    found = jax.device_get(jax.jit(jax.vmap(at))(rates))
    best = {name: _best(*value, rates) for name, value in found.items()}
    return {"made": _made(row), **best}


def _made(row: catalogue.Row) -> str:
    return " ".join(repr(row.build()).split())


def _path(row: catalogue.Row, tx: Any, name: str) -> tuple[Any, Any]:
    start = jnp.float32(STARTS[name])
    # Methods for matrices would leave a vector to another method.
    start = start[None] if len(row.shape) > 1 else start
    steps = jnp.arange(STEPS)
    points, heights = _descend(
        row, tx, start, lambda p, _: FUNCTIONS[name](p.ravel()), steps
    )
    return points.reshape(STEPS, 2), heights


def _digits(row: catalogue.Row, tx: Any) -> tuple[Any, Any]:
    pixels, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    params = {
        "hidden": jnp.float32(rng.normal(size=(64, HIDDEN)) / 8),
        "out": jnp.float32(rng.normal(size=(HIDDEN, 10)) / 4),
        "bias": jnp.zeros(10),
    }
    drawn = rng.integers(0, len(labels), (STEPS, BATCH))
    batches = jnp.float32(pixels / 16)[drawn], jnp.int32(labels)[drawn]
    losses = _descend(row, tx, params, _cross_entropy, batches)[1]
    return losses, losses


def _cross_entropy(params: Any, batch: Any) -> Any:
    x, labels = batch
    logits = jnp.tanh(x @ params["hidden"]) @ params["out"] + params["bias"][None]
    return gradtx.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _descend(
    row: catalogue.Row, tx: Any, params: Any, loss: Any, inputs: Any
) -> tuple[Any, Any]:
    """Return the parameters and the losses of all steps."""

    def step(carry: Any, x: Any) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, x)
        given = {"value": value, "obj_fn": lambda p: loss(p, x)}
        extra = {name: given[name] for name in row.needs}
        updates, state = tx.update(grads, state, params, **extra)
        params = gradtx.apply_updates(params, updates)
        return (params, state), (params, value)

    return jax.lax.scan(step, (params, tx.init(params)), inputs)[1]


def _best(shown: Any, losses: Any, rates: Any) -> dict[str, Any]:
    """Choose the rate whose last losses are the lowest, and round what it shows."""
    last = np.nan_to_num(losses[:, -10:].mean(axis=1), nan=np.inf)
    best = int(np.argmin(last))
    values = np.clip(np.nan_to_num(shown[best][EVERY - 1 :: EVERY]), -9.99, 9.99)
    return {
        "rate": float(f"{rates[best]:.2g}"),
        "last": float(f"{last[best]:.2g}"),
        "values": np.asarray(values, np.float64).round(2).tolist(),
    }


def _compact(found: Any) -> str:
    return json.dumps(found, separators=(",", ":"))


def main() -> None:
    """Run what is missing, and write each result when it is there."""
    for row in missing():
        have = recorded() | {row.name: run(row)}
        known = [x.name for x in shown() if x.name in have]
        lines = (f"{json.dumps(x)}: {_compact(have[x])}" for x in known)
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(row.name, flush=True)


if __name__ == "__main__":
    main()
