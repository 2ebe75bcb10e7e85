"""What is peculiar to Prodigy and D-Adaptation."""

import beside_optax
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import gradtx
from gradtx import contrib

METHODS = [contrib.prodigy, contrib.dadapt_adamw]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda f: f.__name__)


@every_method
def test_alive_after_zero_gradients(method):
    """Gradients of zeros move nothing and change no estimate; then it goes on."""
    tx, p = method(), jnp.float32([1, -2])
    state = tx.init(p)
    for _ in range(3):
        u, state = tx.update(jnp.zeros(2), state, p)
        np.testing.assert_array_equal(u, 0)
    np.testing.assert_array_equal(state.estim_lr, np.float32(1e-6))
    for _ in range(3):
        u, state = tx.update(p, state, p)
        assert (jnp.sign(u) == -jnp.sign(p)).all()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["prodigy", "dadapt_adamw"])
def test_beside_optax(name):
    """The steps are optax's; its ε is times the next d, which is a rounding error."""
    settings = {"learning_rate": beside_optax.falling, "estim_lr0": 1e-3}
    settings["weight_decay"] = 0.1
    ours, theirs = (getattr(x, name)(**settings) for x in (contrib, optax.contrib))
    beside_optax.assert_same(ours, theirs, rtol=1e-6)


def test_the_estimate_is_below_the_distance():
    """On a convex function d grows to, and never beyond, the distance ‖p₀ - p*‖∞."""
    tx = contrib.prodigy(0.5)
    target, p = jnp.float32([3, -1]), jnp.zeros(2)
    state = tx.init(p)
    step = jax.jit(tx.update)
    for _ in range(100):
        u, state = step(jnp.sign(p - target), state, p)
        p = p + u
    assert 0.1 < float(state.estim_lr) <= 3


@every_method
@pytest.mark.one_in(2)
def test_leaves_share_the_estimate(method):
    """Two leaves are treated as one vector, and a leaf without gradient has no part."""
    tx, whole = method(estim_lr0=1e-2), jnp.float32([1, -2, 3])
    parts = {"a": whole[:1], "b": whole[1:], "still": jnp.ones(5)}
    state, apart = tx.init(whole), tx.init(parts)
    for _ in range(4):
        u, state = tx.update(whole, state, whole)
        grads = {"a": whole[:1], "b": whole[1:], "still": None}
        v, apart = tx.update(grads, apart, parts)
        np.testing.assert_allclose(jnp.concatenate([v["a"], v["b"]]), u, rtol=1e-6)
        parts = gradtx.apply_updates(parts, v)
        whole = whole + u
    np.testing.assert_allclose(apart.estim_lr, state.estim_lr, rtol=1e-6)


@every_method
def test_half_precision(method):
    """The estimate and the sums of float16 parameters are float32, and they move."""
    tx, p = method(), jnp.float16([1e-3, -2])
    state = tx.init(p)
    for name in ("exp_avg", "exp_avg_sq", "grad_sum", "estim_lr", "numerator_weighted"):
        assert getattr(state, name).dtype == jnp.float32
    for _ in range(3):
        u, state = tx.update(p, state, p)
        assert u.dtype == jnp.float16
        assert (u != 0).all()


def test_the_mask_of_the_decay():
    """Only where the mask is True does a leaf decay, at a zero gradient too."""
    p = {"b": jnp.ones(2), "w": jnp.ones((2, 2))}
    mask = {"b": False, "w": True}
    for given in (mask, lambda tree: jax.tree.map(lambda x: x.ndim > 1, tree)):
        tx = contrib.prodigy(
            0.5,
            estim_lr0=0.1,
            weight_decay=0.2,
            weight_decay_mask=given,
            use_bias_correction=False,
        )
        u, _ = tx.update(jax.tree.map(jnp.zeros_like, p), tx.init(p), p)
        np.testing.assert_array_equal(u["b"], 0)
        np.testing.assert_allclose(u["w"], -0.01, rtol=1e-6)
