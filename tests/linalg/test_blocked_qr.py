"""The blocked QR is LAPACK's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.linalg import blocked_qr

N = 13  # no multiple of the width below


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take so few columns at a time that there are several blocks."""
    monkeypatch.setattr(blocked_qr, "BLOCK", 4)


@pytest.mark.parametrize("n", [1, 3, 4, N])
def test_as_lapack_has_it(n: int) -> None:
    """Signs are LAPACK's too, and leading axes are batches."""
    a = np.random.default_rng(n).normal(size=(2, 1, n, n)).astype(np.float32)
    found = jax.jit(blocked_qr.orthogonal_factor)(a)
    np.testing.assert_allclose(found, np.linalg.qr(a)[0], atol=1e-5)


@pytest.mark.parametrize("rank", [0, 1, N // 2])
def test_of_any_rank(rank: int) -> None:
    """Q is orthogonal, and Qᵀ A upper triangular, where columns depend on others."""
    rng = np.random.default_rng(rank)
    a = (rng.normal(size=(N, rank)) @ rng.normal(size=(rank, N))).astype(np.float32)
    q = np.asarray(blocked_qr.orthogonal_factor(jnp.asarray(a)))
    np.testing.assert_allclose(q.T @ q, np.eye(N), atol=1e-5)
    np.testing.assert_allclose(np.tril(q.T @ a, -1), 0, atol=1e-5)


def test_what_is_not_a_number_is_not_lost() -> None:
    """Nothing comes out as an orthogonal matrix of an array that is not finite."""
    a = jnp.eye(N).at[3, 2].set(jnp.nan)
    assert jnp.isnan(blocked_qr.orthogonal_factor(a)[-1, -1])
