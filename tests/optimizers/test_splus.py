"""What is peculiar to SPlus."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.following import square, updates_of

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def test_what_to_evaluate_with() -> None:
    """`eval_params` gives the unbiased mean of where the steps led, without decay."""
    tx = gradtx.chain(gradtx.identity(), gradtx.splus(0.5, ema_rate=0.9))
    params = jnp.asarray(square(0))
    state, mean = tx.init(params), 0.0
    np.testing.assert_array_equal(gradtx.eval_params(state, params), params)
    with jax.disable_jit():
        for t in range(1, 4):
            updates, state = tx.update(jnp.asarray(square(t)), state, params)
            params = gradtx.apply_updates(params, updates)
            mean = 0.9 * mean + 0.1 * params / (1 - 0.5 * 0.25 * 0.01)
    np.testing.assert_allclose(
        gradtx.eval_params(state, params), mean / (1 - 0.9**3), rtol=1e-10
    )


def test_factors_by_the_shape() -> None:
    """Matrices take 2 / (rows + columns), all else and what is long the constant."""
    shapes = {"a": (2, 3), "b": (3,), "c": (2, 5), "d": (2, 2, 2), "e": ()}
    grads = {k: np.ones(s) for k, s in shapes.items()}
    tx = gradtx.scale_by_splus(max_dim=4, nonstandard_constant=0.01)
    (updates,) = updates_of(tx, [grads])
    for k, size in {"a": 0.4, "b": 0.01, "c": 0.01, "d": 0.01, "e": 0.01}.items():
        np.testing.assert_allclose(updates[k], size, rtol=1e-12)
    factors = tx.init(grads).factors
    assert [len(jax.tree.leaves(factors[k])) for k in "abcde"] == [2, 0, 1, 0, 0]


def test_the_size_of_an_update_is_known() -> None:
    """A matrix moves by s √(rows · columns) in norm, as signs turned do."""
    grads = [square(seed) for seed in range(3)]
    for u in updates_of(gradtx.scale_by_splus(inverse_every=2), grads):
        np.testing.assert_allclose(np.linalg.norm(u), 2 / 8 * 4, rtol=1e-10)


def test_stacked_matrices_decay_by_their_own_shape() -> None:
    """The decay of a stack is that of its matrices, so of splits; a mask stops it."""
    stack = {"w": jnp.ones((2, 4, 4)), "v": jnp.ones(3), "qkv": jnp.ones((3, 4))}
    numbers = {"w": gradtx.MuonDimensionNumbers(1, 2), "v": None}
    numbers |= {"qkv": gradtx.MatrixAxes(splits=(1, 3))}
    tx = gradtx.splus(
        1.0,
        weight_decay=0.5,
        mask={"w": True, "v": False, "qkv": True},
        weight_dimension_numbers=numbers,
    )
    grads = jax.tree.map(jnp.zeros_like, stack)
    updates, _ = tx.update(grads, tx.init(stack), stack)
    np.testing.assert_allclose(updates["w"], -0.5 * 0.25, rtol=1e-12)
    assert (updates["v"] == 0).all()
    row = -0.5 * np.array([2 / 4, 2 / 6, 2 / 6, 2 / 6])
    np.testing.assert_allclose(updates["qkv"], np.tile(row, (3, 1)), rtol=1e-12)
