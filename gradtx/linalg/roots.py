"""Roots of inverses of symmetric matrices."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import Precision

from gradtx.common import checks
from gradtx.common.numerics import compute_dtype
from gradtx.common.types import Scalar
from gradtx.linalg.eigen import power_iteration
from gradtx.lowering.control_flow import while_loop

_HIGHEST = Precision.HIGHEST
_SMALLEST = 1e-16  # what stands for the largest eigenvalue of a matrix of zeros
_GROWTH = 1.2  # the error may grow by this before it falls, and no more


def matrix_inverse_pth_root(
    matrix: jax.Array,
    p: int,
    num_iters: int = 100,
    ridge_epsilon: Scalar = 1e-6,
    error_tolerance: Scalar = 1e-6,
    precision: Any = _HIGHEST,
) -> tuple[jax.Array, jax.Array]:
    """Return A^(-1/p) of a symmetric positive semidefinite A, by Newton's iteration.

        A ← A + ε λ I                             λ: the largest eigenvalue, about
        z = (1 + p) / (2 ‖A‖),   M = z A,   H = z^(1/p) I
        T = ((1 + p) I - M) / p,   M ← Tᵖ M,   H ← H T       until M = I

    Args:
      matrix: A, of shape (n, n).
      p: a whole number of at least 1.
      num_iters: how often to iterate at most.
      ridge_epsilon: ε, which makes A positive definite.
      error_tolerance: the largest |M - I| to stop at. It also stops where the error
        grows, as it does when the precision is used up.
      precision: of the products.

    Returns:
      The root, of the matrix's shape and type and computed in float32 or wider, and the
      largest |M - I|.

    Raises:
      ValueError: if the matrix is not square, or p is no whole number of at least 1.

    Reference: Higham, Functions of Matrices, 2008, equation 7.18; Gupta et al., 2018,
      https://arxiv.org/abs/1802.09568 (for its use in Shampoo)

    Example:
      >>> root, _ = gradtx.matrix_inverse_pth_root(
      ...     4.0 * jnp.eye(2), 2, ridge_epsilon=0.0
      ... )
      >>> print(root.round(3).tolist())
      [[0.5, 0.0], [0.0, 0.5]]
    """
    array = jnp.asarray(matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:  # noqa: PLR2004
        raise checks.InvalidArgument(
            f"matrix_inverse_pth_root: expected a square matrix, got {array.shape}"
        )
    checks.positive_int(p=p)
    p = int(p)
    a = array.astype(compute_dtype(array.dtype))
    largest, _ = power_iteration(a, precision=precision)
    ridge = ridge_epsilon * jnp.maximum(largest.real, _SMALLEST)
    identity = jnp.eye(len(a), dtype=a.dtype)
    a = a + ridge * identity
    top = jnp.max(jnp.abs(a), initial=0)  # in the loop the squares must not vanish
    root, error = _newton(a / top, p, num_iters, error_tolerance, precision)
    return (root * top ** (-1 / p)).astype(array.dtype), error


def _newton(
    a: jax.Array, p: int, num_iters: int, tolerance: Scalar, precision: Any
) -> tuple[jax.Array, jax.Array]:
    identity = jnp.eye(len(a), dtype=a.dtype)

    def distance(m: jax.Array) -> jax.Array:
        return jnp.max(jnp.abs(m - identity), initial=0)

    def goes_on(loop: Any) -> jax.Array:
        _, _, error, good, t = loop
        return (error > tolerance) & good & (t < num_iters)

    def step(loop: Any) -> Any:
        m, h, error, _, t = loop
        factor = ((1 + p) * identity - m) / p
        new_m = jnp.matmul(_power(factor, p, precision), m, precision=precision)
        new_h = jnp.matmul(h, factor, precision=precision)
        new_error = distance(new_m)
        good = new_error < error * _GROWTH
        kept = jax.tree.map(
            lambda new, old: jnp.where(good, new, old),
            (new_m, new_h, new_error),
            (m, h, error),
        )
        return *kept, good, t + 1

    z = (1 + p) / (2 * jnp.linalg.norm(a))
    m = a * z
    start = m, identity * z ** (1 / p), distance(m), jnp.array(True), jnp.zeros((), int)  # noqa: FBT003
    _, root, error, _, _ = while_loop(goes_on, step, start)
    return root, error


def _power(x: jax.Array, p: int, precision: Any) -> jax.Array:
    """Return xᵖ by repeated squaring."""
    if p == 1:
        return x
    half = _power(x, p // 2, precision)
    square = jnp.matmul(half, half, precision=precision)
    return jnp.matmul(square, x, precision=precision) if p % 2 else square
