"""The orthogonal factor found panel by panel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.linalg import bases
from gradtx.linalg.householder import orthogonal_factor

RNG = np.random.default_rng(0)
SQUARE = RNG.normal(size=(6, 6))
MATRICES = np.stack(
    [
        SQUARE,
        SQUARE[:, :2] @ SQUARE[:2],  # of rank 2
        np.zeros((6, 6)),
        np.triu(SQUARE),
        SQUARE * 1e-200,
        SQUARE * np.array([1, 0, 1e-170, 1, 0, 1]),
    ]
)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("panel", [1, 4, 128])
def test_the_factor_is_that_of_lapack(panel: int) -> None:
    """Q is orthogonal, QᵀA is triangular, and where A has full rank Q is LAPACK's."""
    q = np.asarray(jax.jit(orthogonal_factor, static_argnums=1)(MATRICES, panel))
    np.testing.assert_allclose(
        q @ q.mT, np.broadcast_to(np.eye(6), q.shape), atol=1e-14
    )
    below = np.tril(q.mT @ MATRICES, -1)
    largest = np.abs(MATRICES).max(axis=(-2, -1), keepdims=True)
    assert (np.abs(below) <= 1e-14 * largest).all()
    full = [0, 3, 4]
    np.testing.assert_allclose(q[full], np.linalg.qr(MATRICES[full])[0], atol=1e-13)


def test_what_is_not_finite_shows_in_the_last_entry() -> None:
    """A number that is none, wherever it is, leaves none in the corner of Q."""
    for i, j in ((0, 0), (5, 0), (3, 4), (0, 5)):
        a = jnp.asarray(SQUARE, jnp.float32).at[i, j].set(jnp.nan)
        assert jnp.isnan(orthogonal_factor(a, 4)[-1, -1])


def test_a_tpu_is_given_what_it_compiles_quickly() -> None:
    """Long matrices are factored so where the platform is a TPU, and only there."""
    for long, own in ((257, True), (256, False)):
        a = jax.ShapeDtypeStruct((2, long, long), jnp.float32)
        turn = jax.jit(lambda a, q: bases.turned(a, q, sort=True)[0])
        program = turn.trace(a, a).lower(lowering_platforms=("tpu",)).as_text()
        assert ("@Qr" not in program) == own
        program = turn.trace(a, a).lower(lowering_platforms=("cpu",)).as_text()
        assert "lapack_sgeqrf" in program
