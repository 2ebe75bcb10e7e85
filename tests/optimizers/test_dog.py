"""What is peculiar to DoG and DoWG."""

import beside_optax
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

from gradtx import contrib

METHODS = [contrib.dog, contrib.dowg]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda f: f.__name__)
P = {"a": jnp.float32([3, 0]), "b": jnp.float32([4])}  # of norm 5


def length_of(tree):
    """Return the norm over all leaves, in float64."""
    return np.linalg.norm(np.concatenate([np.float64(x) for x in tree.values()]))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dog", {"init_step": ("heuristic", 1e-2), "weight_decay": 0.1}),
        ("dog", {"init_step": ("distance", 0.1)}),
        ("dog", {"init_step": ("learning_rate", 0.1)}),
        ("dowg", {"init_estim_sq_dist": 0.1, "weight_decay": 0.1}),
        ("dowg", {"learning_rate": beside_optax.falling}),
    ],
)
@pytest.mark.one_in(2)
def test_beside_optax(name, settings):
    """The steps are optax's, over several leaves."""
    ours, theirs = (getattr(x, name)(**settings) for x in (contrib, optax.contrib))
    beside_optax.assert_same(ours, theirs, rtol=1e-12)


@every_method
def test_alive_after_zero_gradients(method):
    """Gradients of zeros move nothing; the steps after them are the same."""
    tx = method()
    state = tx.init(P)
    expected, _ = tx.update(P, state, P)
    for _ in range(2):
        u, state = tx.update(jax.tree.map(jnp.zeros_like, P), state, P)
        assert all((x == 0).all() for x in jax.tree.leaves(u))
    u, _ = tx.update(P, state, P)
    np.testing.assert_array_equal(u["a"], expected["a"])


@pytest.mark.parametrize(
    ("first", "length"),
    [(("distance", 0.3), 0.3), (("heuristic", 0.1), 0.6), (("learning_rate", 2.0), 10)],
)
def test_the_first_step_of_dog(first, length):
    """It is as long as the first distance, or the first rate times the gradient."""
    tx = contrib.scale_by_dog(first)
    u, _ = tx.update(P, tx.init(P), P)
    np.testing.assert_allclose(length_of(u), length, rtol=1e-6)


@every_method
def test_a_leaf_without_gradient_counts_in_no_norm(method):
    """The steps of the others are those that they make alone."""
    first = {"init_step": ("distance", 0.1)} if method is contrib.dog else {}
    tx, more = method(**first), {**P, "still": jnp.ones(3)}
    state, alone = tx.init(more), tx.init(P)
    for _ in range(2):
        u, state = tx.update({**P, "still": None}, state, more)
        v, alone = tx.update(P, alone, P)
        assert u["still"] is None
        np.testing.assert_array_equal(u["a"], v["a"])


@every_method
def test_squares_that_overflow(method):
    """A huge gradient makes a step no longer than the distance, and not the last."""
    tx = method()
    state = tx.init(P)
    u, state = tx.update(jax.tree.map(lambda x: x * 1e25, P), state, P)
    assert 0 < length_of(u) <= 0.011
    u, state = tx.update(P, state, P)
    assert np.isfinite(u["a"]).all()
    assert u["a"][0] != 0


def test_what_is_refused():
    """Another name of the first step, or a negative one."""
    with pytest.raises(ValueError, match=r"init_step must begin with.*'guess'"):
        contrib.dog(init_step=("guess", 1.0))
    with pytest.raises(ValueError, match=r"init_step\[1\].*-1"):
        contrib.dog(init_step=("distance", -1.0))
