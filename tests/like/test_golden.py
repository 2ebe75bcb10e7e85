"""``gradtx.like`` against trajectories that the libraries themselves made.

``golden.json``, ``like.json``, ``like_torch.json`` and ``like_keras.json`` were
recorded in float64 from torch, keras, and the authors' packages; the programs
``data/record_*.py`` wrote all but the first.
"""

import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import like

DATA = Path(__file__).parent.parent / "data"
GOLDEN = json.loads((DATA / "golden.json").read_text())
LIKE = json.loads((DATA / "like.json").read_text())
TORCH = json.loads((DATA / "like_torch.json").read_text())
KERAS = json.loads((DATA / "like_keras.json").read_text())
PROBLEMS = {**LIKE, "sparse": TORCH["sparse"]}
TOLERANCE = 1e-11

ROOMS = {
    "torch": like.torch,
    "keras": like.keras,
    "google/automl": like.authors,
    "adabelief-pytorch": like.authors,
    "authors": like.authors,
}
LOOKAHEADS = {
    "Lookahead(SGD lr=.1 momentum=.9)": like.torch.SGD(lr=0.1, momentum=0.9),
    "Lookahead(Adam lr=1e-2)": like.torch.Adam(lr=1e-2),
}
RENAMED = {"k": "la_steps", "alpha": "la_alpha"}


def follow(tx: Any, start: Any, grads: Any) -> tuple[Any, Any, Any]:
    """Return the parameters after each step, the last ones, and the last state."""
    params, state, path = start, tx.init(start), []
    with jax.disable_jit():  # the operations are shared, and compiled once
        for t in range(len(jax.tree.leaves(grads)[0])):
            g = jax.tree.map(itemgetter(t), grads)
            updates, state = tx.update(g, state, params)
            params = gradtx.apply_updates(params, updates)
            path.append(params)
    return jax.tree.map(lambda *x: np.stack(x), *path), params, state


def error(got: Any, recorded: Any) -> float:
    """Return the largest difference, relative to the largest number."""
    recorded = np.asarray(recorded)
    return np.max(np.abs(np.asarray(got) - recorded)) / max(1, np.abs(recorded).max())


def golden_transformation(case: Any) -> Any:
    """Make what a case of golden.json describes."""
    if case["name"] in LOOKAHEADS:
        settings = {RENAMED.get(k, k): v for k, v in case["kwargs"].items()}
        return like.authors.Lookahead(LOOKAHEADS[case["name"]], **settings)
    return getattr(ROOMS[case["lib"]], case["name"])(**case["kwargs"])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=lambda c: f"{c['lib']}-{c['name']}-{c['kwargs']}"
)
@pytest.mark.one_in(8)
def test_golden(case: Any) -> None:
    """A line of another library moves the parameters as it did there."""
    start, grads = jnp.asarray(GOLDEN["p0"]), jnp.asarray(GOLDEN["grads"])
    path, _, _ = follow(golden_transformation(case), start, grads)
    assert error(path, case["traj"]) <= TOLERANCE


def leaves(rows: Any, kind: str) -> list[jax.Array]:
    """Return the two leaves, of shapes (3,) and (2, 2), that lie in each row."""
    x = np.asarray(rows)
    x = x[..., 0] + 1j * x[..., 1] if kind == "complex" else x
    return [
        jnp.asarray(x[..., :3]),
        jnp.asarray(x[..., 3:].reshape(*x.shape[:-1], 2, 2)),
    ]


def like_transformation(case: Any) -> Any:
    """Make what a case of like.json describes."""
    settings = dict(case["kwargs"])
    room = ROOMS[case["lib"]]
    if "inner" in case:
        name, inner = case["inner"]
        inner = like.torch.__dict__[name](**falling(inner, "lr", case["decay"]))
        return room.Lookahead(inner, **settings)
    rate = "learning_rate" if case["lib"] == "keras" else "lr"
    return getattr(room, case["name"])(**falling(settings, rate, case["decay"]))


def falling(settings: Any, name: str, decay: float) -> Any:
    """Put a falling schedule in the place of the learning rate."""
    if not decay:
        return settings
    first = settings[name]
    return settings | {name: lambda step: first / (1 + decay * step)}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "case",
    [*LIKE["cases"], *TORCH["cases"], *KERAS["cases"]],
    ids=lambda c: f"{c['lib']}-{c['name']}-{c['kind']}-{c['decay']}-{c['kwargs']}",
)
@pytest.mark.one_in(16)
def test_settings(case: Any) -> None:
    """So does one with any other settings, a schedule, and complex parameters."""
    kind = case["kind"]
    start, grads = (leaves(PROBLEMS[kind][x], kind) for x in ("start", "grads"))
    path, params, state = follow(like_transformation(case), start, grads)
    for got, recorded in zip(path, leaves(case["path"], kind), strict=True):
        assert error(got, recorded) <= TOLERANCE
    if "final" in case:
        averaged = gradtx.eval_params(state, params)
        for got, recorded in zip(averaged, leaves(case["final"], kind), strict=True):
            assert error(got, recorded) <= TOLERANCE


@pytest.mark.usefixtures("x64")
def test_loss_scale() -> None:
    """Keras's loss scale divides the gradients, and leaves out those that overflow."""
    case = KERAS["loss_scale"]
    start, grads = (leaves(LIKE["real"][x], "real") for x in ("start", "grads"))
    grads = [g.at[case["overflow"]].set(np.inf) for g in grads]
    inner = like.keras.SGD(0.1, momentum=0.9)
    tx = like.keras.LossScaleOptimizer(inner, **case["kwargs"])
    path, _, _ = follow(tx, start, grads)
    for got, recorded in zip(path, leaves(case["path"], "real"), strict=True):
        assert error(got, recorded) <= TOLERANCE
