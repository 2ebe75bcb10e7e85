"""Clipping each unit relative to its weights."""

import beside_optax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from jax.sharding import AxisType

import gradtx
from gradtx.primitives.adaptive_clip import unitwise_clip, unitwise_norm


def test_agrees_with_optax() -> None:
    """With units by the number of axes, or by given axes."""
    for settings in ({}, {"eps": 2.0}, {"axis": 0}, {"axis": (0,)}):
        ours, theirs = (
            library.adaptive_grad_clip(0.3, **settings) for library in (gradtx, optax)
        )
        beside_optax.assert_same(ours, theirs)


@pytest.mark.parametrize(
    "shape", [(), (5,), (1, 5), (4, 3), (2, 4, 3), (2, 3, 2, 3), (2, 1, 3, 2, 2)]
)
@pytest.mark.one_in(6)
def test_the_norms_of_units(shape: tuple[int, ...]) -> None:
    """The units of arrays of up to five axes are optax's; the shape is the array's."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    expected = optax.transforms.unitwise_norm(x)
    np.testing.assert_allclose(unitwise_norm(x), expected, rtol=1e-6)


def test_six_axes_want_to_be_told() -> None:
    """There is no telling what a unit is; with ``axis`` there is."""
    x = jnp.full((1, 2, 1, 2, 1, 2), 1e30)
    with pytest.raises(ValueError, match=r"\(1, 2, 1, 2, 1, 2\).*give axis"):
        unitwise_norm(x)
    np.testing.assert_allclose(unitwise_norm(x, (1, 5)), 2e30, rtol=1e-6)


def test_clipping_a_unit() -> None:
    """Only where the norm is too large; the shapes must be the same."""
    norm, largest = jnp.float32([4.0, 1.0]), jnp.float32([2.0, 2.0])
    u = unitwise_clip(norm, largest, jnp.float32([8.0, 8.0]))
    np.testing.assert_array_equal(u, [4.0, 8.0])
    with pytest.raises(ValueError, match=r"g_norm \(2,\).*grad \(1,\)"):
        unitwise_clip(norm, largest, jnp.ones(1))


def test_huge_gradients_are_clipped_and_not_lost() -> None:
    """The norm does not overflow with the squares."""
    tx, p = gradtx.adaptive_grad_clip(0.1), jnp.ones((3, 1))
    u, _ = tx.update(jnp.full((3, 1), 1e30), tx.init(p), p)
    np.testing.assert_allclose(u, np.full((3, 1), 0.1), rtol=1e-5)


def test_on_an_explicit_mesh() -> None:
    """Leaves that are laid out in the types of arrays are clipped as any."""
    over = problems.mesh(AxisType.Explicit)
    tx, p = gradtx.adaptive_grad_clip(0.1), {"w": jnp.ones((8, 2))}
    expected, _ = tx.update(p, tx.init(p), p)
    with jax.set_mesh(over):
        spread = problems.spread(p, over)
        u, _ = jax.jit(tx.update)(spread, tx.init(spread), spread)
        np.testing.assert_allclose(u["w"], expected["w"], rtol=1e-6)
        norms = jax.jit(unitwise_norm)(spread["w"])
        np.testing.assert_allclose(norms, np.full((8, 2), 8**0.5), rtol=1e-6)
