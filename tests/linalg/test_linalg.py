"""The iterations on matrices against decompositions of NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls as scipy_nnls

from gradtx.linalg import (
    matrix_inverse_pth_root,
    newton_schulz,
    nnls,
    power_iteration,
)

CONVERGENT = (15 / 8, -10 / 8, 3 / 8)
PRECONDITIONINGS = ["frobenius", "spectral", "schatten"]


def matrices(*shape, seed=0):
    """Return an array of normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("preconditioning", PRECONDITIONINGS)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
@pytest.mark.one_in(2)
def test_newton_schulz_is_a_polynomial_of_the_singular_values(shape, preconditioning):
    """Only the singular values change: each by the odd polynomial, step for step."""
    x = matrices(*shape)
    u, s, vh = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    s = (
        s
        / {
            "frobenius": np.linalg.norm(s),
            "spectral": s[0],
            "schatten": np.sum(s**4) ** 0.25,
        }[preconditioning]
    )
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    got = newton_schulz(x, 5, preconditioning=preconditioning)
    np.testing.assert_allclose(got, u * s @ vh, atol=1e-5)


@pytest.mark.parametrize("preconditioning", [*PRECONDITIONINGS, "aol"])
@pytest.mark.one_in(2)
def test_newton_schulz_converges_to_orthonormal_rows(preconditioning):
    """With convergent coefficients the rows become orthonormal, complex ones too."""
    x = matrices(2, 3, 4) + 1j * matrices(2, 3, 4, seed=1)
    got = newton_schulz(x, 25, CONVERGENT, preconditioning=preconditioning)
    identity = np.broadcast_to(np.eye(3), (2, 3, 3))
    np.testing.assert_allclose(got @ got.mT.conj(), identity, atol=1e-5)


def test_newton_schulz_takes_a_batch_and_a_triple_for_each_step():
    """A batch is as its matrices one by one; a list of triples is their sequence."""
    x, triples = matrices(2, 3, 4), [(3.4, -4.7, 2.0), CONVERGENT]
    whole = newton_schulz(x, coeffs=triples)
    apart = jnp.stack([newton_schulz(one, coeffs=triples) for one in x])
    np.testing.assert_allclose(whole, apart, atol=1e-6)
    _, s, _ = np.linalg.svd(x[0].astype(np.float64))
    s = s / np.linalg.norm(s)
    for a, b, c in triples:
        s = a * s + b * s**3 + c * s**5
    found = np.linalg.svd(whole[0], compute_uv=False)
    np.testing.assert_allclose(np.sort(found), np.sort(np.abs(s)), atol=1e-5)


@pytest.mark.parametrize("preconditioning", [*PRECONDITIONINGS, "aol"])
@pytest.mark.one_in(6)
def test_newton_schulz_is_finite_at_every_scale(preconditioning):
    """Zeros stay zeros, huge matrices do not overflow, and gradients are finite."""

    def iterate(x):
        return newton_schulz(x, preconditioning=preconditioning)

    assert not np.any(iterate(jnp.zeros((2, 3))))
    assert iterate(jnp.zeros((0, 3))).shape == (0, 3)
    x = matrices(3, 4)
    np.testing.assert_allclose(iterate(1e30 * x), iterate(x), atol=1e-4)
    for point in (jnp.zeros((2, 3)), jnp.eye(2, 3)):
        slope = jax.grad(lambda y: jnp.sum(iterate(y)))(point)
        assert np.all(np.isfinite(slope))


def test_newton_schulz_iterates_in_the_type_it_is_told():
    """In bfloat16 the products are rounded, and the result has the matrix's type."""
    x = matrices(3, 4)
    got = newton_schulz(x, dtype=jnp.bfloat16)
    assert got.dtype == jnp.float32
    error = np.max(np.abs(got - newton_schulz(x)))
    assert 1e-4 < error < 0.1
    assert newton_schulz(jnp.asarray(x, jnp.bfloat16)).dtype == jnp.bfloat16


def test_newton_schulz_refuses_what_it_cannot_take():
    """A vector, half a triple and an unknown name are refused."""
    with pytest.raises(ValueError, match="shape"):
        newton_schulz(jnp.ones(3))
    with pytest.raises(ValueError, match="three numbers"):
        newton_schulz(jnp.ones((2, 2)), coeffs=(1.0, 2.0))
    with pytest.raises(ValueError, match="aol"):
        newton_schulz(jnp.ones((2, 2)), preconditioning="none")


@pytest.mark.parametrize("kind", ["real", "complex", "function"])
@pytest.mark.one_in(2)
def test_power_iteration_finds_the_largest_eigenvalue(kind):
    """Value and vector are those of NumPy, also where the matrix is a function."""
    x = matrices(4, 4) + (1j * matrices(4, 4, seed=1) if kind == "complex" else 0)
    matrix = x @ x.conj().T
    values, vectors = np.linalg.eigh(matrix)
    if kind == "function":
        start = {"v": jnp.ones(4)}
        value, tree = power_iteration(lambda v: {"v": matrix @ v["v"]}, v0=start)
        vector = tree["v"]
    else:
        value, vector = power_iteration(matrix)
    np.testing.assert_allclose(value, values[-1], rtol=1e-5)
    np.testing.assert_allclose(abs(np.vdot(vector, vectors[:, -1])), 1, rtol=1e-4)


def test_power_iteration_at_zero_and_refusals():
    """A matrix of zeros has the eigenvalue 0; what cannot be meant is refused."""
    value, vector = power_iteration(jnp.zeros((3, 3)))
    assert value == 0
    assert np.all(np.isfinite(vector))
    with pytest.raises(ValueError, match="v0"):
        power_iteration(lambda v: v)
    with pytest.raises(ValueError, match="square"):
        power_iteration(jnp.ones((2, 3)))


@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e15])
@pytest.mark.one_in(2)
def test_inverse_root_is_that_of_the_eigenvalues(p, scale):
    """A^(-1/p) by eigenvalues, for every p and at every scale."""
    x = matrices(3, 3)
    matrix = (x @ x.T + np.eye(3, dtype=np.float32)) * np.float32(scale)
    values, vectors = np.linalg.eigh(matrix.astype(np.float64))
    expected = vectors * values ** (-1 / p) @ vectors.T
    root, error = matrix_inverse_pth_root(matrix, p, ridge_epsilon=0.0)
    assert error < 1e-5
    np.testing.assert_allclose(root, expected, atol=1e-4 * np.abs(expected).max())


def test_inverse_root_of_zeros_is_finite():
    """The ridge makes a root of a matrix of zeros."""
    root, _ = matrix_inverse_pth_root(jnp.zeros((2, 2)), 2)
    np.testing.assert_allclose(root, 1e11 * np.eye(2), rtol=1e-4)


def test_nnls_is_that_of_scipy():
    """One right-hand side, many at once, and a bound of one's own."""
    a, b = matrices(6, 3), matrices(6, 2, seed=1)
    expected = np.stack([scipy_nnls(a, column)[0] for column in b.T], axis=1)
    np.testing.assert_allclose(nnls(a, b, 500), expected, atol=1e-4)
    bound = np.linalg.norm(a, 2) ** 2
    np.testing.assert_allclose(
        nnls(a, b[:, 0], 300, L=bound), expected[:, 0], atol=1e-4
    )
    assert not np.any(nnls(0 * a, b, 3))
    with pytest.raises(ValueError, match="shape"):
        nnls(a, b[:2], 3)
