"""What is peculiar to Shampoo and its forms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods import matrix
from methods.following import assert_follows, square, updates_of

import gradtx

pytestmark = pytest.mark.usefixtures("x64")
WHOLE: dict[str, Any] = {"target_dims": None}


def test_whitened_products_follow_their_paper() -> None:
    """With factors of what the other side has whitened it follows the paper."""
    settings = {"learning_rate": 0.1, "b2": 0.9, "eps": 1e-2, "exponents": {2: 0.5}}
    assert_follows(
        settings, gradtx.shampoo, matrix.shampoo, whiten_others=True, **WHOLE
    )


def test_without_powers_it_is_momentum() -> None:
    """With all exponents 0 the update is the mean, or has the norm of the graft's."""
    grads = [square(seed) for seed in range(4)]
    adam = gradtx.scale_by_adam(0.9, 0.99)
    mean = updates_of(gradtx.ema(0.9), grads)
    for graft in (None, adam):
        tx = gradtx.scale_by_shampoo(exponents={2: 0.0}, graft=graft, **WHOLE)
        got = updates_of(tx, grads)
        sizes = updates_of(adam, grads)
        for u, m, a in zip(got, mean, sizes, strict=True):
            scale = 1 if graft is None else np.linalg.norm(a) / np.linalg.norm(m)
            np.testing.assert_allclose(u, scale * m, rtol=1e-9)


def test_on_vectors_it_is_adagrad_with_a_full_matrix() -> None:
    """For a vector of one block u = (Σ g gᵀ + ε I)^(-1/2) g."""
    grads = [square(seed)[0] for seed in range(5)]
    got = updates_of(gradtx.scale_by_shampoo(b1=0.0, eps=0.1), grads)
    total = np.zeros((4, 4))
    for g, u in zip(grads, got, strict=True):
        total += np.outer(g, g)
        expected = matrix.power(total + 0.1 * np.eye(4), -0.5) @ g
        np.testing.assert_allclose(u, expected, rtol=1e-9)


def test_small_tensors_are_vectors_by_default() -> None:
    """A matrix with fewer entries than the limit is merged into one vector."""
    tx = gradtx.scale_by_shampoo(eps=0.1)
    grads = [square(seed) for seed in range(3)]
    flat = updates_of(tx, [g.ravel() for g in grads])
    for u, w in zip(updates_of(tx, grads), flat, strict=True):
        np.testing.assert_allclose(u.ravel(), w, rtol=1e-12)


def test_blocks_are_parameters_of_their_own() -> None:
    """Cut at 2, a matrix of 4 by 4 moves as its four pieces would, norms too."""
    graft = gradtx.graft_by_rms(0.9)
    settings = {"b2": 0.9, "eps": 1e-2, "graft": graft, **WHOLE}
    grads = [square(seed) for seed in range(3)]
    pieces = [
        {f"{i}{j}": g[i : i + 2, j : j + 2] for i in (0, 2) for j in (0, 2)}
        for g in grads
    ]
    tx = gradtx.scale_by_shampoo(max_preconditioner_dim=2, **settings)
    parts = updates_of(gradtx.scale_by_shampoo(**settings), pieces)
    for u, some in zip(updates_of(tx, grads), parts, strict=True):
        joined = np.block([[some["00"], some["02"]], [some["20"], some["22"]]])
        np.testing.assert_allclose(u, joined, rtol=1e-9)


def test_the_last_block_is_shorter() -> None:
    """Cut at 3, an axis of 4 has a block of 3 and one of 1, each with its factors."""
    tx = gradtx.scale_by_shampoo(max_preconditioner_dim=3, **WHOLE)
    factors = jax.tree.leaves(tx.init(jnp.ones((4, 4))).factors)
    assert [x.shape[1] for x in factors] == [3, 3, 3, 1, 1, 3, 1, 1]


def test_without_memory_it_orthogonalizes() -> None:
    """With both decays 0 and ε → 0 it gives the polar factor, as Muon without mean."""
    tx = gradtx.scale_by_shampoo(b1=0.0, b2=0.0, eps=1e-14, **WHOLE)
    (u,) = updates_of(tx, [square(3)])
    left, _, right = np.linalg.svd(square(3))
    np.testing.assert_allclose(u, left @ right, atol=1e-6)


def test_directions_without_gradient_may_be_left_out() -> None:
    """With the pseudo-inverse and ε = 0 a gradient of rank one gives one of norm 1."""
    g = np.outer(square(0)[0], square(1)[0])
    tx = gradtx.scale_by_shampoo(b1=0.0, b2=0.0, eps=0.0, pseudo_inverse=True, **WHOLE)
    (u,) = updates_of(tx, [g])
    np.testing.assert_allclose(u, g / np.linalg.norm(g), rtol=1e-6)


def test_before_the_start_the_graft_moves() -> None:
    """Before step t₀ the update is the graft's; without one it is the mean."""
    grads = [square(seed) for seed in range(3)]
    settings = {"start_preconditioning_step": 3, "eps": 0.1, **WHOLE}
    graft = gradtx.graft_by_rms(0.9)
    adam = updates_of(gradtx.scale_by_adam(0.9, 0.9), grads)
    got = updates_of(gradtx.scale_by_shampoo(graft=graft, **settings), grads)
    for u, a in zip(got[:2], adam[:2], strict=True):
        np.testing.assert_allclose(u, a, rtol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(got[2]), np.linalg.norm(adam[2]), rtol=1e-9
    )
    mean = updates_of(gradtx.ema(0.9), grads)
    plain = updates_of(gradtx.scale_by_shampoo(**settings), grads)
    np.testing.assert_allclose(plain[1], mean[1], rtol=1e-12)
    assert not np.allclose(plain[2], mean[2])


def test_grafts_stand_alone() -> None:
    """Without a mean given the grafts take the gradient: RMSProp's step, and SGD's."""
    g = square(0)
    (u,) = updates_of(gradtx.graft_by_rms(0.9, 0.1, bias_correction=False), [g])
    np.testing.assert_allclose(u, g / (np.sqrt(0.1) * np.abs(g) + 0.1), rtol=1e-12)
    (u,) = updates_of(gradtx.graft_by_mean(), [g])
    np.testing.assert_array_equal(u, g)


def test_corrected_eigenvalues_in_known_bases_are_adam() -> None:
    """With every axis left alone the corrected form is Adam."""
    tx = gradtx.scale_by_corrected_shampoo(0.9, 0.99, ignored_dims={2: (0, 1)}, **WHOLE)
    grads = [square(seed) for seed in range(3)]
    for u, a in zip(
        updates_of(tx, grads),
        updates_of(gradtx.scale_by_adam(0.9, 0.99), grads),
        strict=True,
    ):
        np.testing.assert_allclose(u, a, rtol=1e-10)


def test_settings_that_do_not_fit_are_refused() -> None:
    """Steps and sizes below 1, and decays above 1, are refused by name."""
    for name, wrong in (
        ("start_preconditioning_step", 0),
        ("max_preconditioner_dim", 0),
        ("target_dims", 0),
        ("b2", 1.1),
        ("b3", 1.0),
    ):
        with pytest.raises(ValueError, match=name):
            gradtx.scale_by_shampoo(**{name: wrong})
