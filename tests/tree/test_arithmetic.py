"""The arithmetic of trees against NumPy's on the leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import tree

RNG = np.random.default_rng(0)
X = {"w": RNG.normal(size=(3, 2)), "b": [RNG.normal(size=4) + 1j, None], "s": 1.5}
Y = {"w": RNG.normal(size=(3, 2)), "b": [RNG.normal(size=4) - 2j, None], "s": -2.0}


def leafwise(f, *trees):
    """Apply a NumPy function to every leaf."""
    return jax.tree.map(f, *trees)


def check(got, expected, **tolerance):
    """Compare structures and leaves."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 1e-6, **tolerance})


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (lambda: tree.add(X, Y), lambda: leafwise(np.add, X, Y)),
        (
            lambda: tree.add(X, Y, X),
            lambda: leafwise(lambda x, y: 2 * x + y, X, Y),
        ),
        (lambda: tree.sub(X, Y), lambda: leafwise(np.subtract, X, Y)),
        (lambda: tree.mul(X, Y), lambda: leafwise(np.multiply, X, Y)),
        (lambda: tree.div(X, Y), lambda: leafwise(np.divide, X, Y)),
        (lambda: tree.scale(0.3, X), lambda: leafwise(lambda x: 0.3 * x, X)),
        (
            lambda: tree.add_scale(X, 0.3, Y),
            lambda: leafwise(lambda x, y: x + 0.3 * y, X, Y),
        ),
        (lambda: tree.conj(X), lambda: leafwise(np.conj, X)),
        (lambda: tree.real(X), lambda: leafwise(np.real, X)),
        (lambda: tree.where(jnp.bool_(1), X, Y), lambda: X),
        (lambda: tree.where(jnp.bool_(0), X, Y), lambda: Y),
        (
            lambda: tree.clip(X["w"], -0.1, 0.2),
            lambda: np.clip(X["w"], -0.1, 0.2),
        ),
        (lambda: tree.clip(X["w"], None, 0.2), lambda: np.minimum(X["w"], 0.2)),
        (lambda: tree.zeros_like(X), lambda: leafwise(np.zeros_like, X)),
        (lambda: tree.ones_like(X), lambda: leafwise(np.ones_like, X)),
        (
            lambda: tree.full_like(X, 7.0),
            lambda: leafwise(lambda x: np.full_like(x, 7.0), X),
        ),
        (
            lambda: tree.batch_shape(X, (2,)),
            lambda: leafwise(lambda x: np.stack([x, x]), X),
        ),
    ],
)
def test_every_leaf(got, expected):
    """The same is done to every leaf, and None stays None."""
    check(got(), expected())


def test_none_of_the_first_tree_stays():
    """A leaf that is absent is not added to."""
    got = tree.add_scale({"a": None, "b": 1.0}, 2.0, {"a": jnp.ones(2), "b": 3.0})
    assert got == {"a": None, "b": 7.0}


def test_types_are_kept():
    """A Python number widens no leaf, and a type that is asked for is made."""
    half = {"x": jnp.ones(2, jnp.bfloat16)}
    for got in (tree.scale(0.1, half), tree.add_scale(half, 0.1, half)):
        assert got["x"].dtype == jnp.bfloat16
    for make in (tree.zeros_like, tree.ones_like, lambda t, d: tree.full_like(t, 2, d)):
        assert make(half, jnp.float32)["x"].dtype == jnp.float32


def test_trees_of_other_structures():
    """They are refused."""
    with pytest.raises(ValueError, match=r"structure|Expected"):
        tree.add({"a": 1.0}, [1.0])
