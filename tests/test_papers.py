"""Every row follows its paper, in float64."""

from pathlib import Path
from typing import Any

import configurations
import jax
import jax.numpy as jnp
import names_in_code
import numpy as np
import pytest
from catalogue import ROWS, Row

import gradtx

ROOT = Path(__file__).parent.parent
STEPS = 6


def halving(rate: float) -> Any:
    """Return a schedule that falls from a rate, for NumPy and JAX alike."""
    return lambda count: rate / (1 + 0.5 * count)


def gradients(shape: tuple[int, ...], *, imaginary: bool) -> tuple[Any, Any]:
    """Return a start and gradients, of which one is zero and one large."""
    rng = np.random.default_rng(0)

    def draw() -> Any:
        z = rng.normal(size=shape)
        return z + 1j * rng.normal(size=shape) if imaginary else z

    grads = [draw() for _ in range(STEPS)]
    grads[3].flat[0] = 0
    grads[4] = 10 * grads[4]
    return draw(), grads


def cases(row: Row) -> list[str]:
    """Return what a row is tried with."""
    of_schedules = ["schedule"] if row.schedule else []
    return ["number", *of_schedules, *(["complex"] if row.paper_complex else [])]


def usual(row: Row, known: list[str]) -> str:
    """Choose a schedule, which is also a number at every step."""
    del row
    return "schedule" if "schedule" in known else "number"


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("row", "case"),
    configurations.tried([row for row in ROWS if row.paper], cases, usual),
)
def test_follows_its_paper(row: Row, case: str) -> None:
    """The parameters after every step are those of the paper in NumPy."""
    p0, grads = gradients(row.shape, imaginary=case == "complex")
    changes = {}
    if case == "schedule":
        changes["learning_rate"] = halving(row.settings["learning_rate"])
    tx = row.build(**changes)
    params = jnp.asarray(p0)
    state, path = tx.init(params), []
    for g in grads:
        with jax.disable_jit():  # each operation by itself, as in NumPy
            updates, state = tx.update(jnp.asarray(g), state, params)
            params = gradtx.apply_updates(params, updates)
        path.append(params)
    expected = row.follow(p0, grads, **changes)
    size = np.abs(expected).max()
    np.testing.assert_allclose(path, expected, rtol=0, atol=row.tolerance * size)
    assert path[0].dtype == expected.dtype


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_an_oracle(row: Row) -> None:
    """It is a paper, or else a file of tests, which names the method in its code."""
    assert (row.paper is None) == (row.oracle is not None)
    if row.oracle is not None:
        method, *_ = row.name.split(",")
        assert method in names_in_code.written(ROOT / row.oracle)
