"""Sophia and the estimator of its curvature."""

import beside_optax
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest
from methods import curvature as papers

import gradtx
from gradtx import contrib

STEEP = np.array([2.0, 0.5, -1.0])


def bowl(p):
    """Return a height whose Hessian is diagonal, so that signs find it exactly."""
    return 0.5 * jnp.sum(jnp.asarray(STEEP, p.real.dtype) * jnp.abs(p) ** 2)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "settings",
    [
        {"update_interval": 3},
        {"update_interval": 2, "bias_correction": False, "curvature_first": True},
        {"clip_threshold": None, "eps": 0.1},
        {"learning_rate": lambda count: 0.3 / (1 + count), "weight_decay": 0.1},
    ],
    ids=["optax", "paper", "not clipped", "schedule"],
)
@pytest.mark.one_in(2)
def test_follows_the_paper(settings):
    """The parameters after every step are those of the paper in NumPy."""
    settings = {"learning_rate": 0.1, "gamma": 2.0, **settings}
    rng = np.random.default_rng(0)
    p0, grads = rng.normal(size=3), rng.normal(size=(8, 3))
    expected = papers.sophia(p0, grads, curvature=STEEP, **settings)
    tx, p, path = contrib.sophia(**settings), jnp.asarray(p0), []
    state = tx.init(p)
    for g in grads:
        u, state = tx.update(jnp.asarray(g), state, p, obj_fn=bowl)
        p = p + u
        path.append(p)
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-6)


def test_beside_optax():
    """The steps are optax's, random signs and all."""

    def coupled(tree):
        return sum(jnp.sum(jnp.sin(x) * jnp.sum(x)) for x in jax.tree.leaves(tree))

    settings = {"learning_rate": 0.1, "gamma": 2.0, "update_interval": 2}
    ours = contrib.sophia(**settings)
    theirs = optax.contrib.sophia(**settings)
    beside_optax.assert_same(ours, theirs, obj_fn=coupled)


def test_the_estimate_is_unbiased():
    """The mean over many signs is the diagonal, for a Hessian that is not diagonal."""
    hessian = jnp.float32([[2, 1], [1, -3]])

    def height(p):
        return 0.5 * p @ hessian @ p

    tx, p = contrib.hutchinson_estimator_diag_hessian(1), jnp.float32([1, 2])

    def body(state, _):
        u, state = tx.update(p, state, p, obj_fn=height)
        return state, u

    _, drawn = jax.lax.scan(body, tx.init(p), length=4000)
    np.testing.assert_allclose(drawn.mean(0), [2, -3], atol=0.05)
    assert set(np.unique(drawn[:, 0])) == {1, 3}


def test_the_curvature_of_complex_parameters():
    """It is the mean of the curvatures of the two parts, and real."""
    tx, p = contrib.hutchinson_estimator_diag_hessian(), jnp.complex64([1 + 2j, -1j, 2])
    u, _ = tx.update(p, tx.init(p), p, obj_fn=bowl)
    np.testing.assert_allclose(u, STEEP, rtol=1e-6)


@pytest.mark.parametrize("key", [3, np.uint32([0, 3]), jax.random.key(3), None])
def test_the_key_of_the_signs(key):
    """An integer, raw numbers, a key or None will do; every step draws others."""
    tx, p = contrib.hutchinson_estimator_diag_hessian(key), jnp.ones(64)

    def height(p):
        return jnp.sum(p) ** 2

    state = tx.init(p)
    u, state = tx.update(p, state, p, obj_fn=height)
    v, state = tx.update(p, state, p, obj_fn=height)
    assert (u != v).any()


def test_another_estimator():
    """Any transformation may give the curvature; it runs at every k-th step only."""
    tx = contrib.sophia(
        0.1,
        gamma=1.0,
        update_interval=2,
        hessian_diagonal_fn=gradtx.scale(4.0),
        curvature_first=True,
    )
    p = jnp.ones(2)
    state = tx.init(p)
    seen = []
    for t in range(4):
        _, state = tx.update(p * (t + 1), state, p)
        seen.append(float(state[0].nu[0]))
    np.testing.assert_allclose(seen, [0.04, 0.04, 0.1596, 0.1596], rtol=1e-6)


def test_it_prints_what_is_not_clipped(capfd):
    """With ``verbose``, every so many steps the share of the entries that are free."""
    tx = contrib.sophia(
        0.1, gamma=1.0, verbose=True, print_win_rate_every_n_steps=2, eps=1.0
    )
    p = jnp.float32([0.5, 3, 0.1, 4])
    state = tx.init(p)
    for _ in range(2):
        _, state = tx.update(p, state, p, obj_fn=jnp.sum)
    jax.effects_barrier()
    assert capfd.readouterr().out == "Sophia: 0.5 of the entries not clipped\n"


def test_the_objective_is_needed():
    """Without ``obj_fn`` it says how to call it."""
    tx, p = contrib.sophia(0.1), jnp.ones(2)
    with pytest.raises(ValueError, match=r"hutchinson.*obj_fn=\.\.\."):
        tx.update(p, tx.init(p), p)
    with pytest.raises(ValueError, match=r"update_interval.*0"):
        contrib.sophia(0.1, update_interval=0)
