"""All that is seen of a transformation, on models as the frameworks make them."""

from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import gradtx

KEY = jax.random.key(0)
RATE = gradtx.linear_schedule(1.0, 0.0, 10)


def linen() -> Any:
    """Return a dense layer of Flax's Linen."""
    return nn.Dense(4).init(KEY, jnp.ones((1, 8)))["params"]


def of_nnx() -> Any:
    """Return a dense layer of Flax's NNX."""
    return nnx.state(nnx.Linear(8, 4, rngs=nnx.Rngs(0)), nnx.Param)


def equinox() -> Any:
    """Return a dense layer of Equinox."""
    return eqx.filter(eqx.nn.Linear(8, 4, key=KEY), eqx.is_inexact_array)


def matrices(tree: Any) -> Any:
    """Choose the leaves of two axes."""
    return jax.tree.map(lambda x: x.ndim == 2, tree)


@pytest.mark.parametrize("make", [linen, of_nnx, equinox])
@pytest.mark.one_in(6)
def test_a_dense_layer(make: Any) -> None:
    """Paths are names with slashes; bytes, norms and rates are those of 36 numbers."""
    params = make()
    matrix = "weight" if make is equinox else "kernel"
    tx = gradtx.with_metrics(gradtx.adamw(RATE, mask=matrices), lambda path: path)
    described = {x.pattern: x for x in gradtx.describe(tx, params).groups}
    assert {k: x.decayed for k, x in described.items()} == {matrix: True, "bias": False}
    assert sum(x.state_bytes for x in described.values()) == 2 * 4 * 36
    reported = gradtx.report(tx, params, compiled=False)
    assert reported.moved_bytes == 28 * 36
    assert gradtx.plan(params, 16 * 36 + 8)["float32 state"].fits
    grads = jax.tree.map(jnp.ones_like, params)
    _, state = jax.jit(tx.update)(grads, tx.init(params), params)
    got = gradtx.metrics(state)
    assert got["gradient_norm"] == 6
    assert got["gradient_norm/bias"] == 2
    assert gradtx.learning_rate(tx, state) == pytest.approx(0.9)
    assert got["learning_rate"] == 1


def test_the_metrics_of_an_optimizer_of_nnx() -> None:
    """They are arrays, whatever the state's own are kept in, also when jitted."""
    model = nnx.Linear(8, 4, rngs=nnx.Rngs(0))
    tx = gradtx.with_metrics(gradtx.adam(RATE))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.update(model, nnx.state(model, nnx.Param))
    for read in (gradtx.metrics, nnx.jit(gradtx.metrics)):
        got = read(optimizer.opt_state)
        assert all(isinstance(x, jax.Array) for x in got.values())
        assert f"{got['learning_rate']:.1f}" == "1.0"
