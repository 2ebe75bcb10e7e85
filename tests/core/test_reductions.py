"""What the leaves of a tree tell each other."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.core import reductions

P = {"a": jnp.bfloat16([1, 2]), "b": jnp.ones(3), "c": 2.0}


def test_gather():
    """Leaves with a gradient come in float32 or wider, the others not at all."""
    grads, slot = {**P, "b": None}, {**P, "b": jnp.zeros(3)}
    rows = reductions.compute_leaves(grads, P, mean=slot)
    assert len(rows) == 2
    for g, p, m in rows:
        assert g.dtype == p.dtype == m.dtype == jnp.float32
        np.testing.assert_array_equal(g, p)
        np.testing.assert_array_equal(g, m)
    assert [p for _, p in reductions.compute_leaves(grads)] == [None, None]
    assert reductions.compute_leaves({}) == []


def test_gather_refuses_what_does_not_fit():
    """Another tree, another shape: the path is named."""
    with pytest.raises(ValueError, match=r"\['c'\]"):
        reductions.compute_leaves(P, {"a": P["a"], "b": P["b"]})
    with pytest.raises(ValueError, match=r"\['b'\].*state 'mean'"):
        reductions.compute_leaves(P, P, mean={**P, "b": jnp.ones(2)})


def test_inner():
    """It is the real part of Σ x̄ y, of real and complex arrays."""
    x, y = np.array([1 + 2j, 3j]), np.array([2 - 1j, 1 + 1j])
    expected = np.vdot(x, y).real
    np.testing.assert_allclose(
        reductions.inner(jnp.asarray(x), jnp.asarray(y)), expected
    )
    assert reductions.inner(jnp.float32([1, 2]), jnp.float32([3, 4])) == 11
    assert reductions.inner(jnp.ones(0), jnp.ones(0)) == 0


def test_add_up():
    """Of nothing the sum is 0, a float32."""
    assert reductions.sum_over_leaves([]).dtype == jnp.float32
    assert reductions.sum_over_leaves([jnp.float32(1), jnp.float32(2)]) == 3


def test_shared_numbers_are_as_wide_as_the_widest_leaf():
    """Half precision makes float32, complex numbers their real type, float64 itself."""
    assert reductions.shared_scalar(P, 1e-6).dtype == jnp.float32
    assert reductions.shared_scalar({}, 0).dtype == jnp.float32
    assert reductions.shared_scalar(jnp.complex64([1]), 0).dtype == jnp.float32


@pytest.mark.usefixtures("x64")
def test_shared_numbers_of_float64():
    """One leaf of float64 makes the number float64."""
    assert (
        reductions.shared_scalar({**P, "d": jnp.zeros(1, jnp.float64)}, 0).dtype
        == jnp.float64
    )
