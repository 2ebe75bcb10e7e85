"""A comparison of models of Flax Linen, NNX and Equinox: one line makes each a task."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn, nnx

import gradtx
from gradtx.compare import Task, find_learning_rate, run

X = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
DATA = (X, np.sin(X[:, :1]))


def missed(predicted: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean square of what is missed."""
    return ((predicted - y) ** 2).mean()


def linen() -> Task:
    """Make a task of a module of Linen."""
    model = nn.Dense(1)
    return Task(
        init=lambda key: model.init(key, X[:1]),
        loss=lambda params, batch, _: missed(model.apply(params, batch[0]), batch[1]),
        batches=DATA,
    )


def of_nnx() -> Task:
    """Make a task of a module of NNX: its parameters, merged again in the loss."""
    make = lambda key: nnx.Linear(3, 1, rngs=nnx.Rngs(key))  # noqa: E731
    graph = nnx.graphdef(make(jax.random.key(0)))
    return Task(
        init=lambda key: nnx.state(make(key), nnx.Param),
        loss=lambda params, batch, _: missed(
            nnx.merge(graph, params)(batch[0]), batch[1]
        ),
        batches=DATA,
    )


def equinox() -> Task:
    """Make a task of a module of Equinox: its arrays, combined again in the loss."""
    make = lambda key: eqx.nn.MLP(3, 1, 4, 1, key=key)  # noqa: E731
    _, static = eqx.partition(make(jax.random.key(0)), eqx.is_inexact_array)
    return Task(
        init=lambda key: eqx.filter(make(key), eqx.is_inexact_array),
        loss=lambda params, batch, _: missed(
            jax.vmap(eqx.combine(params, static))(batch[0]), batch[1]
        ),
        batches=DATA,
    )


@pytest.mark.parametrize("make", [linen, of_nnx, equinox])
@pytest.mark.one_in(6)
@pytest.mark.exhaustive
def test_a_model_of_any_library_is_compared(make: Callable[[], Any]) -> None:
    """Methods with and without state train it; the best is then used by hand."""
    task = make()
    result = run(
        task,
        {"adam": gradtx.adam, "sgd": lambda rate: gradtx.sgd(rate, momentum=0.9)},
        steps=10,
        seeds=2,
        rates=[0.003, 0.01, 0.03, 0.1],
        progress=False,
    )
    assert result.comparison.opening > min(row.loss for row in result.comparison.rows)
    tx, params = result.best("adam"), task.init(jax.random.key(1))
    grads = jax.grad(task.loss)(params, jax.tree.map(jnp.asarray, DATA), None)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert find_learning_rate(gradtx.adam, task, steps=40, high=1e3).suggestion > 0
