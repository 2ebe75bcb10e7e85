"""AdaGC: every leaf has its own bound."""

import jax.numpy as jnp
import numpy as np

import gradtx


def test_every_leaf_has_its_bound() -> None:
    """Each is held to what it was, also if the others are larger."""
    tx = gradtx.adagc(0.5, lambda_abs=1e9, lambda_rel=2.0, warmup_steps=2)
    g = {"a": jnp.float32([3, 4]), "b": jnp.float32([0.3, 0.4])}
    _, state = tx.update(g, tx.init(g))
    u, state = tx.update({"a": 9 * g["a"], "b": g["b"]}, state)
    np.testing.assert_allclose(u["a"], 2 * g["a"], rtol=1e-6)
    np.testing.assert_allclose(u["b"], g["b"])
    np.testing.assert_allclose(state.gamma["a"], 0.5 * 5 + 0.5 * 10, rtol=1e-6)
    np.testing.assert_allclose(state.gamma["b"], 0.5, rtol=1e-6)


def test_at_first_the_whole_norm_is_bounded() -> None:
    """In the first steps all leaves are scaled together, and the least norm is kept."""
    tx = gradtx.adagc(lambda_abs=1.0, warmup_steps=9)
    g = {"a": jnp.float32([3]), "b": jnp.float32([4])}
    state = tx.init(g)
    for size in (1.0, 0.1, 1.0):
        u, state = tx.update({k: size * x for k, x in g.items()}, state)
    np.testing.assert_allclose([u["a"], u["b"]], [[0.6], [0.8]], rtol=1e-6)
    np.testing.assert_allclose(state.gamma["a"], 0.3, rtol=1e-6)


def test_what_is_not_finite_is_not_remembered() -> None:
    """A leaf with NaN goes through and keeps its bound; the others have theirs."""
    tx = gradtx.adagc(warmup_steps=1)
    g = {"a": jnp.float32([1]), "b": jnp.float32([1])}
    _, state = tx.update(g, tx.init(g))
    u, after = tx.update({"a": g["a"] * jnp.nan, "b": g["b"]}, state)
    assert jnp.isnan(u["a"]).all()
    assert after.gamma["a"] == state.gamma["a"]
    assert jnp.isfinite(u["b"]).all()
