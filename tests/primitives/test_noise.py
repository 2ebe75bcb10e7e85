"""Noise that fades."""

from typing import Any

import beside_optax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx


def test_the_draws_are_optax() -> None:
    """From the same key the same numbers come, alone and in noisy SGD."""
    for key in (3, jax.random.key(3), jax.random.key(3, impl="rbg")):
        ours, theirs = (lib.add_noise(0.5, 0.7, key) for lib in (gradtx, optax))
        beside_optax.assert_same(ours, theirs)
    ours, theirs = (lib.noisy_sgd(0.1, key=4) for lib in (gradtx, optax))
    beside_optax.assert_same(ours, theirs)


def test_the_variance() -> None:
    """The draws have the mean 0 and the variance η / tᵞ, each step's its own."""
    tx, g = gradtx.add_noise(4.0, 0.5), jnp.ones(20_000)
    state, last = tx.init(g), g
    for t in range(1, 4):
        u, state = jax.jit(tx.update)(g, state)
        np.testing.assert_allclose(jnp.mean(u), 1, atol=0.05)
        np.testing.assert_allclose(jnp.var(u), 4 / t**0.5, rtol=0.05)
        assert abs(jnp.corrcoef(u, last)[0, 1]) < 0.05 or t == 1
        last = u


def test_every_leaf_has_noise_of_its_own_in_its_type() -> None:
    """Leaves alike are not shaken alike; None leaves and empty ones stay."""
    leaf = jnp.zeros(50, jnp.bfloat16)
    params = {"a": leaf, "b": leaf, "none": None, "empty": jnp.zeros((0, 2))}
    tx = gradtx.add_noise(1.0, 0.0, key=1)
    u, _ = tx.update(params, tx.init(params))
    assert u["none"] is None
    assert u["empty"].shape == (0, 2)
    assert u["a"].dtype == jnp.bfloat16
    assert (u["a"] != u["b"]).any()


@pytest.mark.parametrize(
    "key",
    [None, 7, jnp.int32(7), jax.random.key(7), jax.random.PRNGKey(7)],
    ids=["none", "int", "array", "typed", "raw"],
)
def test_a_donated_state_does_not_take_the_key(key: Any) -> None:
    """The transformation starts again from its key after its state was donated."""
    tx, g = gradtx.add_noise(1.0, 0.5, key), jnp.ones(3)
    step = jax.jit(tx.update, donate_argnums=1)
    first, _ = step(g, tx.init(g))
    again, _ = step(g, tx.init(g))
    np.testing.assert_array_equal(first, again)
    same = gradtx.add_noise(1.0, 0.5, seed=7 if key is not None else 0)
    np.testing.assert_allclose(first, same.update(g, same.init(g))[0], rtol=1e-6)


def test_as_a_value() -> None:
    """It equals, prints, and goes through jit as an argument, key and all."""
    tx, g = gradtx.noisy_sgd(0.1, key=jax.random.key(2)), jnp.ones(3)
    assert tx == gradtx.noisy_sgd(0.1, key=jax.random.key(2))
    assert tx != gradtx.noisy_sgd(0.1, key=jax.random.key(3))

    @jax.jit
    def first(tx: gradtx.GradientTransformation) -> jax.Array:
        return tx.update(g, tx.init(g), g)[0]

    np.testing.assert_allclose(first(tx), tx.update(g, tx.init(g), g)[0], rtol=1e-6)
    numbered = gradtx.noisy_sgd(0.1, key=2)
    np.testing.assert_allclose(first(numbered), first(tx), rtol=1e-6)


def test_what_is_refused() -> None:
    """Two keys, a negative variance."""
    with pytest.raises(ValueError, match="add_noise: give either key or"):
        gradtx.add_noise(1.0, 1.0, key=1, seed=2)
    with pytest.raises(ValueError, match="eta must be in"):
        gradtx.noisy_sgd(0.1, eta=-1.0)
