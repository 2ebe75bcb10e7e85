"""Muon in the words of PyTorch, Keras and its authors: what is peculiar to each.

That they follow the recorded trajectories is tested in ``tests/frontier`` and with the
other lines of :mod:`gradtx.like`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import like

RNG = np.random.default_rng(0)
GRADS = {"embedding": RNG.normal(size=(4, 3)), "dense": RNG.normal(size=(3, 2))}
GRADS = {k: jnp.float32(x) for k, x in GRADS.items()}
PARAMS = jax.tree.map(jnp.ones_like, GRADS)


def update_of(tx: Any, grads: Any = GRADS, params: Any = PARAMS) -> Any:
    """Return the first updates."""
    with jax.disable_jit():
        return tx.update(grads, tx.init(params), params)[0]


def orthogonal(x: Any) -> Any:
    """Return NS of a matrix by its SVD."""
    left, s, right = np.linalg.svd(x, full_matrices=False)
    s = s / (np.linalg.norm(s) + 1e-7)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return left * s @ right


def test_keras_excludes_by_path() -> None:
    """Embeddings and what `exclude_layers` finds are Adam's, unless told otherwise."""
    adam = update_of(like.keras.Adam(weight_decay=0.004))
    got = update_of(like.keras.Muon(exclude_layers=["^den"]))
    for name in GRADS:
        np.testing.assert_allclose(got[name], adam[name], rtol=1e-5)
    everything = update_of(like.keras.Muon(exclude_embeddings=False))
    plain = update_of(like.keras.Muon())
    np.testing.assert_allclose(plain["embedding"], adam["embedding"], rtol=1e-5)
    for name in GRADS:
        x, n = np.asarray(GRADS[name], np.float64), max(GRADS[name].shape)
        u = -0.001 * (0.2 * n**0.5 * orthogonal(x) + 0.004)
        np.testing.assert_allclose(everything[name], u, rtol=1e-4)


def test_torch_wants_matrices_of_rows_for_outputs() -> None:
    """Other leaves are refused by path; dimension numbers turn a matrix round."""
    tx = like.torch.Muon(0.1)
    with pytest.raises(ValueError, match=r"Muon.*\['b'\].*\(3,\).*partition"):
        update_of(tx, {"b": jnp.ones(3)}, {"b": jnp.ones(3)})
    turned = like.torch.Muon(
        0.1, weight_dimension_numbers=gradtx.MuonDimensionNumbers(0, 1)
    )
    there = update_of(tx, GRADS["dense"], PARAMS["dense"])
    here = update_of(turned, GRADS["dense"].T, PARAMS["dense"].T)
    np.testing.assert_allclose(here.T, there, rtol=1e-5)
    x = np.asarray(GRADS["dense"])
    expected = -0.1 * ((3 / 2) ** 0.5 * orthogonal(x) + 0.1)
    np.testing.assert_allclose(there, expected, rtol=1e-4)
    with pytest.raises(ValueError, match="adjust_lr_fn"):
        like.torch.Muon(adjust_lr_fn="spectral").init(PARAMS)


def test_keller_takes_the_factor_of_a_kernel_from_its_window() -> None:
    """A kernel is one matrix (out, rest), times √max(1, height / width)."""
    g = jnp.float32(RNG.normal(size=(3, 2, 4, 1)))
    got = update_of(like.authors.Muon(0.1), g, jnp.ones_like(g))
    expected = -0.1 * 2 * orthogonal(np.asarray(g).reshape(3, 8)).reshape(g.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_moonlight_has_adamw_beside_it() -> None:
    """Vectors step as in the program's AdamW, kernels as matrices (out, rest)."""
    grads = {
        "b": jnp.float32([0.3, -2.0]),
        "k": jnp.float32(RNG.normal(size=(2, 3, 2))),
    }
    params = jax.tree.map(jnp.ones_like, grads)
    tx = like.authors.MoonlightMuon(0.1, adamw_eps=0.1)
    got = update_of(tx, grads, params)
    b = np.asarray(grads["b"])
    m, v = 0.1 * b, 0.05 * b * b
    adam = 0.05**0.5 / 0.1 * m / (np.sqrt(v) + 0.1)
    np.testing.assert_allclose(got["b"], -0.1 * (adam + 0.1), rtol=1e-5)
    k = orthogonal(np.asarray(grads["k"]).reshape(2, 6)).reshape(2, 3, 2)
    expected = -0.1 * (0.2 * 3**0.5 * k + 0.1)
    np.testing.assert_allclose(got["k"], expected, rtol=1e-4)


def test_dion_flattens_when_told() -> None:
    """Arrays of three axes are batches of matrices, or one of shape (out, rest)."""
    g = jnp.float32(RNG.normal(size=(2, 3, 4)))
    batch, flat = (
        update_of(
            like.authors.DionMuon(
                1.0, flatten=flatten, adjust_lr=None, weight_decay=0, nesterov=True
            ),
            g,
            jnp.ones_like(g),
        )
        for flatten in (False, True)
    )
    for x, size in ((batch, 2), (flat.reshape(1, 2, 12), 1)):
        for matrix in np.asarray(x).reshape(size, *x.shape[-2:]):
            s = np.linalg.svd(matrix, compute_uv=False)
            np.testing.assert_allclose(s, 1, atol=0.2)
    with pytest.raises(ValueError, match="adjust_lr"):
        like.authors.DionMuon(adjust_lr="rms").init(g)
