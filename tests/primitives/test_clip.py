"""Bounds on the size of updates, right at 0, infinity, and where squares overflow."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

INF, NAN = float("inf"), float("nan")


def clipped(tx: Any, tree: Any) -> Any:
    """Return what a stateless transformation makes of a tree."""
    return tx.update(tree, tx.init(tree))[0]


def norm(tree: Any) -> float:
    """Return the norm of a tree, in float64."""
    leaves = [np.asarray(x, np.complex128).ravel() for x in jax.tree.leaves(tree)]
    return float(np.linalg.norm(np.concatenate(leaves)))


# --- clip_by_global_norm -----------------------------------------------------


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 100.0])
def test_the_norm_is_bounded(max_norm: float) -> None:
    """The updates keep their direction, and their norm if it is small enough."""
    tree = {"a": jnp.float32([3, -4]), "b": jnp.float32([[12]])}
    got = clipped(gradtx.clip_by_global_norm(max_norm), tree)
    factor = min(1, max_norm / 13)
    for key, x in tree.items():
        np.testing.assert_allclose(got[key], factor * x, rtol=1e-6)


def test_small_updates_pass_unchanged() -> None:
    """Below the bound not a bit changes, at the bound neither."""
    tree = jnp.float32([0.3, 0.1, 1 / 3])
    np.testing.assert_array_equal(clipped(gradtx.clip_by_global_norm(1.0), tree), tree)
    edge = jnp.float32([3, 4])
    np.testing.assert_array_equal(clipped(gradtx.clip_by_global_norm(5.0), edge), edge)


@pytest.mark.parametrize("max_norm", [0.0, 1.0])
def test_zero_stays_zero(max_norm: float) -> None:
    """Zero updates are zero after clipping, to a norm of 0 as well: never 0 / 0."""
    for tree in (jnp.zeros(2), jnp.zeros(2, jnp.float16), {"a": jnp.zeros((0, 2))}):
        got = clipped(gradtx.clip_by_global_norm(max_norm), tree)
        assert all((x == 0).all() for x in jax.tree.leaves(got))
    assert clipped(gradtx.clip_by_global_norm(1.0), {}) == {}
    assert (clipped(gradtx.clip_by_global_norm(0.0), jnp.ones(2)) == 0).all()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        *[(300, "float16"), (6e4, "float16"), (1e20, "float32"), (3e38, "float32")],
        *[(1e30, "bfloat16"), (1e-30, "float32"), (1e-7, "float16")],
    ],
)
def test_squares_that_overflow_or_vanish(value: float, dtype: str) -> None:
    """Where the squares cannot be written down the norm is still right."""
    g = jnp.array([value, -value], dtype)
    max_norm = 0.5 if value > 1 else float(norm(g)) / 2
    got = clipped(gradtx.clip_by_global_norm(max_norm), g)
    assert got.dtype == g.dtype
    half = max_norm / np.sqrt(2)
    tolerance = 1e-5 if dtype == "float32" else 1e-2
    if value != 1e-7:
        np.testing.assert_allclose(
            np.asarray(got, float), [half, -half], rtol=tolerance
        )
    assert np.isfinite(np.asarray(got, float)).all()


def test_one_infinite_entry() -> None:
    """Infinity takes all of the norm; nothing becomes NaN."""
    tree = {"a": jnp.float32([INF, 1]), "b": jnp.float32([-2])}
    got = clipped(gradtx.clip_by_global_norm(1.0), tree)
    np.testing.assert_allclose(got["a"], [1, 0], atol=1e-6)
    np.testing.assert_allclose(got["b"], [0], atol=1e-6)
    got = clipped(gradtx.clip_by_global_norm(1.0), jnp.float16([-INF, 1]))
    np.testing.assert_allclose(got, [-1, 0], atol=1e-3)


def test_nan_is_not_hidden() -> None:
    """NaN in one leaf makes all the updates NaN."""
    tree = {"a": jnp.float32([NAN, 1]), "b": jnp.float32([2])}
    got = clipped(gradtx.clip_by_global_norm(1.0), tree)
    assert all(jnp.isnan(x).all() for x in jax.tree.leaves(got))


def test_many_leaves_of_few_bits() -> None:
    """The sum of 10,000 squares is not summed in bfloat16."""
    tree = [jnp.ones(100, jnp.bfloat16) for _ in range(100)]
    assert norm(clipped(gradtx.clip_by_global_norm(1.0), tree)) == pytest.approx(
        1, rel=1e-2
    )
    assert float(gradtx.tree.norm(tree)) == pytest.approx(100)


def test_complex_updates() -> None:
    """The norm of complex updates is that of their moduli."""
    got = clipped(gradtx.clip_by_global_norm(1.0), jnp.complex64([3 + 4j, 12j]))
    np.testing.assert_allclose(got, np.array([3 + 4j, 12j]) / 13, rtol=1e-6)
    assert got.dtype == jnp.complex64


def test_the_gradient_is_finite_at_zero() -> None:
    """Clipping is differentiable at zero, where nothing is clipped, with slope 1."""
    for make in (gradtx.clip_by_global_norm, gradtx.clip_by_block_rms):
        tx = make(1.0)
        slope = jax.grad(lambda g, tx=tx: clipped(tx, g).sum())(jnp.zeros(3))
        np.testing.assert_allclose(slope, 1)


def test_masked_leaves_do_not_count() -> None:
    """Under a mask, the norm is that of the leaves that are shown."""
    tree = {"a": jnp.float32([3, 4]), "b": jnp.float32([100])}
    tx = gradtx.masked(gradtx.clip_by_global_norm(1.0), {"a": True, "b": False})
    got = tx.update(tree, tx.init(tree))[0]
    np.testing.assert_allclose(got["a"], [0.6, 0.8], rtol=1e-6)
    assert got["b"] == 100


# --- the others --------------------------------------------------------------


def test_clip_by_entry() -> None:
    """Every entry is cut off at the bound, infinity too; NaN stays; types are kept."""
    g = jnp.float32([-INF, -2, -0.5, 0, 0.5, 2, INF, NAN])
    got = clipped(gradtx.clip(1.0), g)
    np.testing.assert_array_equal(got, [-1, -1, -0.5, 0, 0.5, 1, 1, NAN])
    assert clipped(gradtx.clip(np.float64(1.0)), jnp.ones(2, "bfloat16")).dtype == (
        jnp.bfloat16
    )


def test_complex_numbers_have_no_order() -> None:
    """Clipping complex updates by entry is refused, with what to do."""
    with pytest.raises(ValueError, match=r"clip: complex.*use clip_by_global_norm"):
        clipped(gradtx.clip(1.0), jnp.complex64([1j]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_clip_by_block_rms(dtype: str) -> None:
    """Each leaf's root mean square is bounded, by itself; 0-size leaves pass."""
    tree = {
        "small": jnp.array([0.5, -0.5], dtype),
        "large": jnp.array([300, -400], dtype),
        "empty": jnp.zeros((0, 2), dtype),
        "scalar": jnp.array(-7, dtype),
    }
    got = clipped(gradtx.clip_by_block_rms(1.0), tree)
    np.testing.assert_array_equal(got["small"], tree["small"])
    expected = np.array([300, -400]) / np.sqrt((300**2 + 400**2) / 2)
    np.testing.assert_allclose(np.asarray(got["large"], float), expected, rtol=1e-2)
    assert got["scalar"] == -1
    assert all(x.dtype == dtype for x in jax.tree.leaves(got))


@pytest.mark.parametrize(
    ("make", "name", "wrong"),
    [
        (gradtx.clip, "max_delta", -1.0),
        (gradtx.clip_by_global_norm, "max_norm", -1.0),
        (gradtx.clip_by_global_norm, "max_norm", NAN),
        (gradtx.clip_by_block_rms, "threshold", 0.0),
    ],
)
def test_wrong_bounds_are_refused(make: Any, name: str, wrong: float) -> None:
    """A bound that is negative or no number is refused by name."""
    with pytest.raises(ValueError, match=rf"{make.__name__}: {name} must be in"):
        make(wrong)
