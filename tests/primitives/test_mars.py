"""MARS: how much of the change of the gradients is added, and the bound."""

import jax.numpy as jnp
import numpy as np

import gradtx


def test_the_change_is_added() -> None:
    """The first gradient counts as a change from 0; the next from the one before."""
    tx = gradtx.mars(gamma=0.5, b1=0.5, max_norm=None)
    g = jnp.float32([1, -2])
    first, state = tx.update(g, tx.init(g))
    np.testing.assert_allclose(first, 1.5 * g)
    np.testing.assert_array_equal(state.previous, g)
    second, _ = tx.update(3 * g, state)
    np.testing.assert_allclose(second, 3 * g + 0.5 * 2 * g)


def test_every_leaf_is_bounded_apart() -> None:
    """A leaf that is too long is brought to the norm, however long; others stay."""
    tx = gradtx.mars(gamma=0.0, max_norm=2.0)
    g = {
        "a": jnp.float32([3e30, 4e30]),
        "b": jnp.float32([0.6, 0.8]),
        "c": jnp.zeros(2),
    }
    u, _ = tx.update(g, tx.init(g))
    np.testing.assert_allclose(u["a"], [1.2, 1.6], rtol=1e-6)
    np.testing.assert_array_equal(u["b"], g["b"])
    np.testing.assert_array_equal(u["c"], 0)
