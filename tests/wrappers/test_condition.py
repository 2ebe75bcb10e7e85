"""Conditions: a step is taken whole or not at all."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.wrappers.condition import (
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
)
from gradtx.wrappers.freeze import selective_transform


def even(step: Any) -> Any:
    """Hold at every other step."""
    return step % 2 == 0


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.one_in(2)
def test_conditions_of_the_step(jit: bool) -> None:
    """Where it fails, updates pass or are zero, and the state stands still."""
    for wrap, theirs, rest in (
        (conditionally_transform, optax.conditionally_transform, 1.0),
        (conditionally_mask, optax.conditionally_mask, 0.0),
    ):
        tx, other = wrap(gradtx.adam(0.1), even), theirs(optax.adam(0.1), even)
        ones = jnp.ones(2)
        update = jax.jit(tx.update) if jit else tx.update
        state, expected = tx.init(ones), other.init(ones)
        for step in range(3):
            u, state = update(ones, state, ones)
            v, expected = other.update(ones, expected, ones)
            # Optax's bias correction, in float32, is off by 1e-5 on a new JAX.
            np.testing.assert_allclose(u, v, rtol=2e-5)
            if step == 1:
                np.testing.assert_array_equal(u, rest * ones)
        assert state._fields == expected._fields
        assert int(state.inner_state[0].count) == 2


def test_the_condition_may_look_at_extra_arguments() -> None:
    """Extra arguments reach the inner one, and the condition if it asks for them."""
    tx = conditionally_mask(
        optax.polyak_sgd(),
        lambda step, value: (step >= 0) & (value > 1),
        forward_extra_args=True,
    )
    ones = jnp.ones(1)
    state = tx.init(ones)
    assert tx.update(ones, state, ones, value=0.5)[0] == 0
    assert tx.update(ones, state, ones, value=2.0)[0] == -1


def test_a_condition_of_another_shape_is_refused() -> None:
    """The condition is one boolean."""
    tx = conditionally_mask(gradtx.sgd(0.1), lambda step: jnp.ones(2) > step)
    with pytest.raises(ValueError, match="should_transform_fn must return one boolean"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)))


def test_bad_gradients_are_left_out_up_to_a_number() -> None:
    """Updates, state and the three counts are those of optax, step by step."""
    tx = apply_if_finite(gradtx.sgd(0.1, momentum=0.9), 2)
    other = optax.apply_if_finite(optax.sgd(0.1, momentum=0.9), 2)
    params = jnp.ones(2)
    state, expected = tx.init(params), other.init(params)
    update = jax.jit(tx.update)
    for bad in [1, np.nan, 1, np.inf, np.nan, np.nan, 1]:
        g = jnp.float32([1, bad])
        u, state = update(g, state, params)
        v, expected = other.update(g, expected, params)
        np.testing.assert_allclose(u, v, rtol=1e-5)
        for x, y in zip(state[:3], expected[:3], strict=True):
            assert int(x) == int(y)
        np.testing.assert_allclose(
            jax.tree.leaves(state[3]), jax.tree.leaves(expected[3]), rtol=1e-5
        )


def test_types_that_the_inner_optimizer_changes_are_put_right() -> None:
    """An inner one that returns float32 for bfloat16 neither fails nor leaks it."""
    tx = apply_if_finite(optax.adam(np.float32(1e-3)), 3)
    params = jnp.ones(2, jnp.bfloat16)
    updates, state = tx.update(params, tx.init(params), params)
    assert updates.dtype == jnp.bfloat16
    assert state.inner_state[0].mu.dtype == jnp.bfloat16


def test_gradients_of_all_kinds_are_looked_at() -> None:
    """Complex parts count, and integers, missing and empty leaves do not disturb."""
    params = {"c": jnp.ones(1, jnp.complex64), "n": jnp.arange(1), "e": jnp.ones((0,))}
    frozen = {"c": False, "n": True, "e": False}
    tx = apply_if_finite(selective_transform(gradtx.sgd(1.0), freeze_mask=frozen), 5)
    grads = jax.grad(
        lambda p: jnp.real(jnp.sum(p["c"])) + jnp.sum(p["e"]), allow_int=True
    )(params)
    updates, state = tx.update(grads, tx.init(params), params)
    assert state.last_finite
    assert updates["c"] == -1
    grads["c"] = jnp.complex64([1 + 1j * np.inf])
    updates, state = tx.update(grads, state, params)
    assert not state.last_finite
    np.testing.assert_array_equal(updates["c"], [0])
    np.testing.assert_array_equal(updates["n"], [0])
