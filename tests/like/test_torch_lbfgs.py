"""L-BFGS against what PyTorch's did, recorded by ``data/record_torch.py``."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configurations import EXHAUSTIVE

import gradtx
from gradtx import like

DATA = Path(__file__).parent.parent / "data"
START = np.array(json.loads((DATA / "like.json").read_text())["real"]["start"])
CASES = json.loads((DATA / "like_torch.json").read_text())["searches"]
USUAL = (1, 5)  # one of each kind of step, with a short history


def valley(params: Any) -> jax.Array:
    """Return a number that is small in a bent valley, of seven in two leaves."""
    x = jnp.concatenate([params["a"], params["b"].reshape(-1)])
    steps = (x[1:] - x[:-1] ** 2) ** 2
    return jnp.sum(steps) + 0.1 * jnp.sum((1 - x) ** 2)


def start(dtype: Any = None) -> Any:
    """Return the recorded start as two leaves, and one that stands still."""
    leaves = {"a": START[:3], "b": START[3:].reshape(2, 2)}
    return {k: jnp.asarray(x, dtype) for k, x in leaves.items()} | {"c": None}


def one_call(tx: Any) -> Any:
    """Return a function that makes one call, compiled."""

    def call(params: Any, state: Any) -> Any:
        value, grad = jax.value_and_grad(valley)(params)
        updates, state = tx.update(grad, state, params, value=value, value_fn=valley)
        return gradtx.apply_updates(params, updates), state

    return jax.jit(call)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, marks=() if i in USUAL else EXHAUSTIVE, id=str(c["kwargs"]))
        for i, c in enumerate(CASES)
    ],
)
@pytest.mark.one_in(2)
def test_moves_as_in_torch(case: Any) -> None:
    """With any settings the parameters go the same way, for as many evaluations."""
    tx = like.torch.LBFGS(**case["kwargs"])
    params = start()
    state, call = tx.init(params), one_call(tx)
    for row, evals in zip(case["path"], case["evals"], strict=True):
        params, state = call(params, state)
        got = np.concatenate([params["a"], params["b"].reshape(-1)])
        np.testing.assert_allclose(got, row, rtol=1e-7, atol=1e-7)
        assert state.func_evals == evals


@pytest.mark.exhaustive
def test_in_half_precision_and_at_rest() -> None:
    """It falls from bfloat16 parameters too, and stays where the gradient is zero."""
    tx = like.torch.LBFGS(0.5, 4, history_size=2, line_search_fn="strong_wolfe")
    params = start(jnp.bfloat16)
    state, call = tx.init(params), one_call(tx)
    moved, state = call(params, state)
    assert valley(moved) < valley(params)
    assert moved["a"].dtype == jnp.bfloat16
    lowest = jax.tree.map(jnp.ones_like, params)
    still, new = call(lowest, state)
    assert all((x == 1).all() for x in jax.tree.leaves(still))
    assert new.func_evals == state.func_evals + 1


def test_what_is_refused() -> None:
    """Another search, no loss, complex parameters, and numbers that are no counts."""
    make = like.torch.LBFGS
    with pytest.raises(ValueError, match=r"line_search_fn.*'armijo'"):
        make(line_search_fn="armijo")
    with pytest.raises(ValueError, match="history_size"):
        make(history_size=0)
    tx, params = make(max_iter=2, history_size=2), start()
    with pytest.raises(ValueError, match="value_fn"):
        tx.update(params, tx.init(params), params, value=1.0)
    turned = {"z": jnp.ones(2, complex)}
    with pytest.raises(ValueError, match=r"\['z'\] is complex"):
        tx.update(
            turned,
            tx.init(turned),
            turned,
            value=1.0,
            value_fn=lambda p: jnp.sum(jnp.abs(p["z"])),
        )
    assert tx == make(max_iter=2, history_size=2)
    assert repr(tx) == "LBFGS(max_iter=2, history_size=2)"
