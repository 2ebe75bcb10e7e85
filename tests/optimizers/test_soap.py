"""What is peculiar to SOAP."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods import matrix
from methods.following import assert_follows, path_of, square, updates_of

import gradtx

pytestmark = pytest.mark.usefixtures("x64")
EVERY = {"precondition_frequency": 2}


def test_every_setting_is_that_of_the_paper() -> None:
    """With decays of its own for the factors, and normalized, it follows the paper."""
    settings: dict[str, Any] = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.9, **EVERY}
    more = {"shampoo_beta": 0.7, "normalize_grads": True, "weight_decay": 0.1}
    assert_follows(settings, gradtx.soap, matrix.soap, **more)


def test_without_factors_it_is_adam_one_step_late() -> None:
    """With no axis short enough it is Adam with ε̂, that begins with the second step."""
    b1, b2, eps = 0.8, 0.9, 1e-3
    tx = gradtx.scale_by_soap(b1, b2, eps=eps, max_precond_dim=0)
    grads = [square(seed) for seed in range(4)]
    first, *got = updates_of(tx, grads)
    assert (first == 0).all()
    m = v = 0.0
    for t, (g, u) in enumerate(zip(grads[1:], got, strict=True), 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        c = np.sqrt(1 - b2**t) / (1 - b1**t)
        np.testing.assert_allclose(u, c * m / (np.sqrt(v) + eps), rtol=1e-12)


def test_rotations_of_the_parameters_change_nothing() -> None:
    """For orthogonal U and V the updates of U G V are U times those of G times V."""
    turn = [np.linalg.qr(square(seed))[0] for seed in (7, 8)]
    grads = [square(seed) for seed in range(5)]
    tx = gradtx.scale_by_soap(eps=0.0, **EVERY)
    plain = updates_of(tx, grads)
    turned = updates_of(tx, [turn[0] @ g @ turn[1] for g in grads])
    for u, w in zip(plain, turned, strict=True):
        np.testing.assert_allclose(turn[0] @ u @ turn[1], w, atol=1e-9)


def test_signs_of_eigenvectors_do_not_matter() -> None:
    """With some columns of the bases turned round, the updates stay the same."""
    grads = [jnp.asarray(square(seed)) for seed in range(6)]
    tx = gradtx.scale_by_soap(**EVERY)
    with jax.disable_jit():
        state = tx.init(grads[0])
        for g in grads[:3]:
            _, state = tx.update(g, state)
        ((rows, columns),) = state.bases
        signs = jnp.asarray([1.0, -1.0, -1.0, 1.0])
        flipped = state._replace(
            mu=state.mu * signs[:, None], bases=((rows * signs[None, None], columns),)
        )
        for g in grads[3:]:
            one, state = tx.update(g, state)
            other, flipped = tx.update(g, flipped)
            np.testing.assert_allclose(one, other, atol=1e-10)


def test_merged_axes_are_one_axis() -> None:
    """A tensor whose last axes are merged is treated as the matrix that they make."""
    tx = gradtx.scale_by_soap(merge_dims=True, max_precond_dim=4, **EVERY)
    whole = gradtx.scale_by_soap(max_precond_dim=4, **EVERY)
    grads = [square(seed) for seed in range(4)]
    # The axes are taken from the first on: of (4, 2, 2) it is the last two that fit.
    got = updates_of(tx, [g.reshape(4, 2, 2) for g in grads])
    expected = updates_of(whole, grads)
    for u, w in zip(got, expected, strict=True):
        np.testing.assert_allclose(u.reshape(4, 4), w, atol=1e-12)


def test_a_vector_may_have_a_factor() -> None:
    """With `precondition_1d` the state of a vector has a factor, and else none."""
    p = jnp.ones(3)
    for given, many in ((True, 1), (False, 0)):
        state = gradtx.scale_by_soap(precondition_1d=given).init(p)
        assert len(jax.tree.leaves(state.factors)) == many


def test_long_axes_have_no_factor() -> None:
    """An axis above the limit has none, so the updates are those of a rotation of one.

    What lies along the long axis may be put in any order.
    """
    order = np.array([3, 1, 0, 2, 5, 4])
    grads = [np.random.default_rng(i).normal(size=(4, 6)) for i in range(4)]
    tx = gradtx.scale_by_soap(max_precond_dim=4, **EVERY)
    plain = updates_of(tx, grads)
    permuted = updates_of(tx, [g[:, order] for g in grads])
    for u, w in zip(plain, permuted, strict=True):
        np.testing.assert_allclose(u[:, order], w, atol=1e-12)
    assert len(jax.tree.leaves(tx.init(jnp.ones((4, 6))).factors)) == 1


def test_the_first_step_only_looks() -> None:
    """Nothing moves in the first step, without decay."""
    (first, second) = path_of(
        gradtx.soap(0.1, weight_decay=None), square(0), [square(1), square(2)]
    )
    np.testing.assert_array_equal(first, square(0))
    assert (second != first).all()
