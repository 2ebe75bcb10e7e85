"""Margin and sparsemax losses, against the formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import losses, projections


def test_two_classes() -> None:
    """Hinge and perceptron losses are clipped products of score and sign."""
    s, y = np.float32([2, 0.5, -1, 0]), np.float32([1, 1, 1, -1])
    np.testing.assert_allclose(losses.hinge_loss(s, y), [0, 0.5, 2, 1])
    np.testing.assert_allclose(losses.perceptron_loss(s, y), [0, 0, 1, 0])
    np.testing.assert_allclose(losses.hinge_loss(s, 1.0), [0, 0.5, 2, 1])


def test_many_classes() -> None:
    """The right class has to lead, by 1 under the hinge loss."""
    s = jnp.float32([[1, 3, 2.5], [1, 3, 1]])
    y = jnp.array([2, 1])
    np.testing.assert_allclose(losses.multiclass_hinge_loss(s, y), [1.5, 0])
    np.testing.assert_allclose(losses.multiclass_perceptron_loss(s, y), [0.5, 0])


def test_binary_sparsemax() -> None:
    """It is 0, a parabola, and the wrongness, and NaN for what is no answer."""
    z = jnp.float32([2, 1, 0.5, 0, -0.5, -1, -3])
    ones = losses.sparsemax_loss(z, jnp.ones(7, int))
    np.testing.assert_allclose(ones, [0, 0, 0.0625, 0.25, 0.5625, 1, 3])
    zeros = losses.sparsemax_loss(-z, jnp.zeros(7, bool))
    np.testing.assert_array_equal(zeros, ones)
    slope = jax.jit(jax.vmap(jax.grad(losses.sparsemax_loss), (0, None)))(z, 1)
    np.testing.assert_allclose(slope, -np.clip((1 - z) / 2, 0, 1))
    unknown = losses.sparsemax_loss(jnp.ones(3), jnp.array([-1, 2, 1]))
    np.testing.assert_array_equal(jnp.isnan(unknown), [True, True, False])


@pytest.mark.exhaustive
def test_sparsemax_over_any_batch() -> None:
    """Its slope is the projection onto the simplex minus the label, in any shape."""
    z = jnp.float32(np.random.default_rng(0).normal(size=(2, 3, 4)))
    y = jnp.array([[0, 1, 2], [3, 0, 1]])
    loss = jax.jit(losses.multiclass_sparsemax_loss)
    slope = jax.jit(jax.grad(lambda z: jnp.sum(loss(z, y))))(z)
    p = jnp.vectorize(projections.projection_simplex, signature="(n)->(n)")(z)
    np.testing.assert_allclose(slope, p - jax.nn.one_hot(y, 4), atol=1e-6)
    # The definition by the threshold: L = 1/2 + Σ over the support (z² - τ²)/2 - z_y.
    tau = jnp.max(jnp.where(p > 0, z - p, -jnp.inf), -1, keepdims=True)
    part = jnp.sum(jnp.where(p > 0, z**2 - tau**2, 0), -1) / 2
    chosen = jnp.take_along_axis(z, y[..., None], -1)[..., 0]
    np.testing.assert_allclose(loss(z, y), 0.5 + part - chosen, atol=1e-5)


@pytest.mark.parametrize("offset", [1e5, -1e5])
def test_sparsemax_knows_only_differences(offset: float) -> None:
    """Scores far from 0 give the loss of the same scores near 0."""
    z = jnp.float32([0.5, 0.25, -1])
    loss = jax.jit(losses.multiclass_sparsemax_loss)
    np.testing.assert_allclose(loss(z + offset, 1), loss(z, 1), atol=1e-6)
    impossible = loss(jnp.float32([-jnp.inf, 0, 0.5]), 1)
    np.testing.assert_allclose(impossible, loss(jnp.float32([0, 0.5]), 0))
