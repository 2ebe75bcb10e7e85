"""Bounds on the gradient of every example."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

GRADS = {
    "w": jnp.float32([[[3, 0], [0, 4]], [[0, 0.3], [0.4, 0]], [[0, 0], [0, 0]]]),
    "b": jnp.float32([[0], [1.2], [0]]),
}  # of norms 5, 1.3, 0


def test_the_global_norm_of_every_example() -> None:
    """Each is bounded over all leaves together; two are left alone."""
    sums, count = gradtx.per_example_global_norm_clip(GRADS, 2.5)
    np.testing.assert_allclose(sums["w"], [[1.5, 0.3], [0.4, 2]], rtol=1e-6)
    np.testing.assert_allclose(sums["b"], [1.2], rtol=1e-6)
    assert count == 1


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.one_in(2)
def test_the_norm_of_every_leaf(uniform: bool) -> None:
    """Each leaf has its share of the bound; the whole is not longer than it."""
    got = gradtx.per_example_layer_norm_clip(GRADS, 1.0, uniform)
    expected = optax.per_example_layer_norm_clip(GRADS, 1.0, uniform)
    for x, y in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    one = jax.tree.map(lambda g: g[:1], GRADS)
    sums, counts = gradtx.per_example_layer_norm_clip(one, 1.0, uniform)
    assert gradtx.tree.norm(sums) <= 1.0 + 1e-6
    assert counts == {"w": 1, "b": 0}


def test_sums_are_added_up_in_float32() -> None:
    """A thousand examples in bfloat16 do not stop the sum at 256."""
    ones = jnp.ones((1000, 2), jnp.bfloat16)
    sums, count = gradtx.per_example_global_norm_clip(ones, 10.0)
    assert sums.dtype == jnp.bfloat16
    np.testing.assert_array_equal(sums, 1000)
    assert count == 0


def test_huge_gradients_are_clipped_and_not_lost() -> None:
    """The norm does not overflow with the squares."""
    sums, count = gradtx.per_example_global_norm_clip(jnp.full((2, 1), 1e30), 1.0)
    np.testing.assert_allclose(sums, [2.0], rtol=1e-5)
    assert count == 2


def test_leaves_must_share_the_examples() -> None:
    """Another number of examples, or none, is refused by path; no leaves are none."""
    for wrong in ({"w": jnp.ones((3, 2)), "b": jnp.ones(2)}, {"w": jnp.ones(())}):
        for clip in (
            gradtx.per_example_global_norm_clip,
            gradtx.per_example_layer_norm_clip,
        ):
            with pytest.raises(ValueError, match=r"examples, got shape .*\['[bw]'\]"):
                clip(wrong, 1.0)
    assert gradtx.per_example_global_norm_clip({}, 1.0) == ({}, 0)
    assert gradtx.per_example_layer_norm_clip({}, 1.0) == ({}, {})
