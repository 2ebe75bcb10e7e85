"""MoMo and MoMo-Adam: steps by the height of the loss."""

import beside_optax
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest
from methods import step_size as papers

import gradtx
from gradtx import contrib

METHODS = [contrib.momo, contrib.momo_adam]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda f: f.__name__)


@pytest.mark.usefixtures("x64")
@every_method
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"learning_rate": lambda count: 0.3 / (1 + count), "weight_decay": 0.1},
        {"learning_rate": 0.1, "lower_bound": -2.0, "adapt_lower_bound": True},
        {"lower_bound": 0.1, "weight_decay": 0.2, "adapt_lower_bound": True},
    ],
    ids=["plain", "schedule", "adapted", "decay"],
)
@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.one_in(12)
def test_follows_the_paper(method, settings, kind):
    """The parameters after every step are those of the paper in NumPy."""
    rng = np.random.default_rng(0)

    def draw():
        z = rng.normal(size=5)
        return z + 1j * rng.normal(size=5) if kind is complex else z

    p0, grads, values = draw(), [draw() for _ in range(8)], rng.uniform(0, 9, size=8)
    paper = getattr(papers, method.__name__)
    expected = paper(p0, grads, values=values, **settings)
    tx, p, path = method(**settings), jnp.asarray(p0), []
    state = tx.init(p)
    for g, value in zip(grads, values, strict=True):
        u, state = tx.update(jnp.asarray(g), state, p, value=value)
        p = p + u
        path.append(p)
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["momo", "momo_adam"])
@pytest.mark.parametrize("adapt", [False, True])
@pytest.mark.one_in(2)
def test_beside_optax(name, adapt):
    """Without weight decay the steps are optax's, over several leaves."""
    settings = {"lower_bound": 0.3, "adapt_lower_bound": adapt}
    ours, theirs = (getattr(x, name)(**settings) for x in (contrib, optax.contrib))
    beside_optax.assert_same(ours, theirs, rtol=1e-12, value=2.0)


@every_method
def test_alive_after_zero_gradients(method):
    """Gradients of zeros move nothing, and the estimates stay finite; then it goes."""
    tx, p = method(adapt_lower_bound=True), jnp.float32([1, -2])
    state = tx.init(p)
    for value in (0.0, 1.0):
        u, state = tx.update(jnp.zeros(2), state, p, value=value)
        np.testing.assert_array_equal(u, 0)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
    u, state = tx.update(p, state, p, value=1.0)
    u, state = tx.update(p, state, p, value=3.0)
    assert (u != 0).all()
    assert np.isfinite(u).all()


@every_method
def test_at_the_lower_bound(method):
    """Where the model of the loss is at its bound, it stands still."""
    tx, p = method(lower_bound=1.0), jnp.float32([1, -2])
    u, _ = tx.update(p, tx.init(p), p, value=1.0)
    np.testing.assert_array_equal(u, 0)


def test_the_step_reaches_the_bound():
    """If the rate allows it, the first step is Polyak's, f / ‖g‖² long."""
    tx, p = contrib.momo(10.0), jnp.float32([3, 4])
    u, _ = tx.update(p, tx.init(p), p, value=jnp.bfloat16(5))
    np.testing.assert_allclose(u, -p / 5, rtol=1e-6)


@every_method
@pytest.mark.one_in(2)
def test_the_loss_is_needed(method):
    """Without ``value`` it says how to call it."""
    tx, p = method(), jnp.ones(2)
    with pytest.raises(ValueError, match=r"momo.*value=\.\.\."):
        tx.update(p, tx.init(p), p)
    inside = gradtx.chain(gradtx.clip(1.0), tx)
    inside.update(p, inside.init(p), p, value=1.0, other=2)
