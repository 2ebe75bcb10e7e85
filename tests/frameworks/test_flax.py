"""Flax's variables and its loss scale."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.training.dynamic_scale import DynamicScale

import gradtx
from gradtx import tree


def test_what_is_set_into_a_variable_of_flax() -> None:
    """The variable stays, and its metadata, with another number of the old type."""
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    tx = gradtx.inject_hyperparams(gradtx.sgd)(0.1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.opt_state = nnx.data(tree.set(optimizer.opt_state, learning_rate=1))
    rate = tree.get(optimizer.opt_state, "learning_rate")
    assert isinstance(rate, nnx.Variable)
    assert (rate.get_value(), rate.get_value().dtype) == (1, jnp.float32)
    grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    before = model.bias.get_value()
    optimizer.update(model, grads)
    np.testing.assert_allclose(model.bias.get_value(), before - 1)


def test_it_goes_as_flax_s() -> None:
    """The scales are those of Flax, whose interval is one step longer."""
    theirs = DynamicScale(growth_interval=2, scale=jnp.float32(16.0))
    tx = gradtx.dynamic_loss_scale(gradtx.sgd(0.1), 16.0, growth_interval=3)
    p = jnp.float32([1, 2])
    state = tx.init(p)
    for bad in [0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0]:
        theirs, finite, _, _ = theirs.value_and_grad(
            lambda p, bad=bad: p.sum() / (1 - bad)
        )(p)
        g = jnp.full(2, jnp.inf if bad else 1.0)
        _, state = tx.update(g, state, p)
        assert state.loss_scale == theirs.scale
        assert state.fin_steps == theirs.fin_steps
        assert state.last_finite == finite
    assert state.skipped == 3


@pytest.mark.parametrize("find", [gradtx.eval_params, gradtx.schedule_free_eval_params])
def test_the_average_is_found_in_the_variables_of_flax(find: Any) -> None:
    """The state of an ``nnx.Optimizer`` and its model's parameters are understood."""
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, gradtx.schedule_free_sgd(0.1), wrt=nnx.Param)
    for _ in range(2):
        grads = nnx.grad(lambda m: jnp.sum(m(jnp.ones((1, 2))) ** 2))(model)
        optimizer.update(model, grads)
    params = nnx.state(model, nnx.Param)
    found = find(optimizer.opt_state, params)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    z = optimizer.opt_state.z["kernel"].get_value()
    y = params["kernel"].get_value()
    expected = y + (y - z) / 9
    np.testing.assert_allclose(found["kernel"].get_value(), expected, rtol=1e-5)
