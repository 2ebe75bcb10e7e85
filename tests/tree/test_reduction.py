"""Sums, products and extremes over trees, against NumPy in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import tree, tree_utils
from gradtx.common import numerics
from gradtx.tree import norms

RNG = np.random.default_rng(0)
X = {
    "w": RNG.normal(size=(3, 2)),
    "b": (RNG.normal(size=4), None),
    "e": np.ones((0, 2)),
}
Y = {
    "w": RNG.normal(size=(3, 2)),
    "b": (RNG.normal(size=4), None),
    "e": np.ones((0, 2)),
}
Z = jax.tree.map(lambda x, y: x + 1j * y, X, Y)


def flat(x):
    """Return all entries as one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(x)])


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (lambda: tree.sum(X), lambda: flat(X).sum()),
        (lambda: tree.sum(Z, associative_reduction=True), lambda: flat(Z).sum()),
        (lambda: tree.vdot(X, Y), lambda: np.vdot(flat(X), flat(Y))),
        (lambda: tree.vdot(Z, Y), lambda: np.vdot(flat(Z), flat(Y))),
        (lambda: tree.max(X), lambda: flat(X).max()),
        (lambda: tree.min(X), lambda: flat(X).min()),
        (lambda: tree.size(X), lambda: 10),
        (lambda: tree.norm(Z), lambda: np.linalg.norm(flat(Z))),
        (lambda: tree.norm(Z, 2, True), lambda: np.linalg.norm(flat(Z)) ** 2),  # noqa: FBT003
        (lambda: tree.norm(Z, 1), lambda: np.abs(flat(Z)).sum()),
        (lambda: tree.norm(Z, "infinity"), lambda: np.abs(flat(Z)).max()),
        (
            lambda: tree.norm(Z, np.inf, squared=True),
            lambda: np.abs(flat(Z)).max() ** 2,
        ),
        (lambda: tree_utils.tree_l1_norm(Z), lambda: np.abs(flat(Z)).sum()),
        (lambda: tree_utils.tree_linf_norm(Z), lambda: np.abs(flat(Z)).max()),
    ],
)
@pytest.mark.one_in(2)
def test_over_all_entries(got, expected):
    """The entries of all leaves are taken as one vector; empty leaves add nothing."""
    np.testing.assert_allclose(got(), expected(), rtol=1e-6)


@pytest.mark.parametrize("empty", [{}, (), None, {"a": [None]}, {"a": jnp.ones(0)}])
def test_nothing(empty):
    """An empty tree has the sums 0 and the extremes of no numbers."""
    assert tree.sum(empty) == 0
    assert tree.vdot(empty, empty) == 0
    assert tree.norm(empty) == 0
    assert tree.max(empty) == -np.inf
    assert tree.min(empty) == np.inf
    assert tree.size(empty) == 0


def test_extremes_of_small_types_with_empty_leaves():
    """A leaf without entries does not bound what can be found."""
    found = [10_000, jnp.ones(0, jnp.int8)]
    assert (tree.max(found), tree.min(found)) == (10_000, 10_000)


def test_half_precision_is_summed_in_float32():
    """1,000 leaves of 0.1 come to 100 in bfloat16 too, and their product to 10."""
    leaves = [jnp.full((), 0.1, jnp.bfloat16)] * 1000
    tenth = float(leaves[0])
    np.testing.assert_allclose(tree.sum(leaves), 1000 * tenth, rtol=1e-4)
    np.testing.assert_allclose(tree.vdot(leaves, leaves), 1000 * tenth**2, rtol=1e-4)
    assert tree.sum(leaves).dtype == jnp.float32


def test_the_product_of_arrays_that_do_not_match():
    """Nothing is broadcast; the leaf is named."""
    with pytest.raises(ValueError, match=r"\['b'\] has shape \(1,\)"):
        tree.vdot({"b": jnp.ones(3)}, {"b": jnp.ones(1)})
    with pytest.raises(ValueError, match="nothing at"):
        tree.vdot({"b": 1.0}, {"c": 1.0})


def test_on_an_explicit_mesh():
    """Arrays whose layout the program states are summed where they are."""
    kinds = (jax.sharding.AxisType.Explicit,)
    mesh = jax.make_mesh((2,), ("x",), axis_types=kinds)
    with jax.set_mesh(mesh):
        x = jax.device_put(jnp.arange(4.0).reshape(2, 2), jax.P("x"))
        assert float(jax.jit(tree.vdot)({"a": x}, {"a": x})) == 14
        assert float(jax.jit(tree.sum)({"a": x})) == 6
        noise = tree.random_like(jax.random.key(0), {"a": x})
    assert noise["a"].sharding.spec == jax.P("x", None)


def test_close():
    """Closeness is relative to the second tree, and NaN is close to NaN if asked."""
    a, b = {"x": jnp.array([1.0, np.nan])}, {"x": jnp.array([1.0 + 1e-7, np.nan])}
    assert not tree.allclose(a, b)
    assert tree.allclose(a, b, equal_nan=True)
    assert tree.allclose({"x": 1.0}, {"x": 1.2}, rtol=0.17)
    assert not tree.allclose({"x": 1.2}, {"x": 1.0}, rtol=0.17)
    assert tree.allclose({}, {})


def test_gradients_at_zero():
    """No norm has a NaN for its derivative there."""
    for order in (1, 2, "inf"):
        gradient = jax.grad(lambda x, order=order: tree.norm(x, order))(jnp.zeros(2))
        assert np.all(np.isfinite(gradient))


# --- the two ways to sum squares ----------------------------------------------


WAYS = (norms._squares_twice, norms.squares_in_three_units)  # noqa: SLF001


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "entries",
    [
        [3.0, 4.0],
        [3e30, -4e30],
        [3e38, 3e37],
        [3e-30, 4e-30],
        [1e-19, 1e-18],
        [1e-37, 0.0],
        [0.0, 0.0],
        [np.inf, 1.0],
        [np.nan, 1e30],
    ],
)
@pytest.mark.one_in(2)
def test_both_ways_to_sum_squares_hold_everywhere(way: Any, entries: Any) -> None:
    """On any device the norm of large, small and no numbers is right, and its slope."""

    def norm(x: Any) -> Any:
        unit, total = way(norms.modulus, [x[:1], x[1:]])
        return unit * numerics.sqrt(total)

    x = jnp.array(entries, jnp.float32)
    wide = np.asarray(x, np.float64)
    expected = np.linalg.norm(wide)
    np.testing.assert_allclose(jax.jit(norm)(x), expected, rtol=1e-6)
    if 0 < expected < 2e38:
        slope = jax.jit(jax.grad(norm))(x)
        np.testing.assert_allclose(slope, wide / expected, rtol=1e-5)


def test_devices_other_than_processors_read_once() -> None:
    """For a GPU and a TPU the norm is lowered without a loop, for a CPU with one."""
    traced = jax.jit(lambda x: tree.norm({"w": x})).trace(jnp.ones(3))
    for platform, loops in {"cpu": True, "cuda": False, "tpu": False}.items():
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.while" in text) == loops, platform
