"""Least squares among vectors without negative entries."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import Scalar
from gradtx.lowering.control_flow import scan


def nnls(
    A: jax.Array,
    b: jax.Array,
    iters: int,
    unroll: int | bool = 1,
    L: Scalar | None = None,
) -> jax.Array:
    """Minimise ‖A x - b‖ over x ≥ 0, by an accelerated projected gradient.

        x' = max(y - Aᵀ(A y - b) / L, 0)
        c' = (1 + √(1 + 4 c²)) / 2
        y  = x' + (c - 1) / c' · (x' - x)                       from x = y = 0, c = 0

    Args:
      A: a real matrix of shape (m, n).
      b: of shape (m,), or (m, k) for k problems at once.
      iters: how often to iterate.
      unroll: how many iterations to write out in the loop, as ``lax.scan`` takes it.
      L: an upper bound of the largest eigenvalue of AᵀA; a quick one if None.

    Returns:
      x, of shape (n,) or (n, k), in the type of the arguments.

    Raises:
      ValueError: if the shapes do not fit.

    Reference: Polyak, Projected gradient method for non-negative least square, 2015,
      https://doi.org/10.1090/conm/636

    Example:
      >>> A, b = jnp.eye(2), jnp.array([1.0, -1.0])
      >>> print(gradtx.nnls(A, b, iters=50).round(3))
      [1. 0.]
    """
    A, b = jnp.asarray(A), jnp.asarray(b)
    if A.ndim != 2 or b.ndim not in (1, 2) or len(A) != len(b):  # noqa: PLR2004
        raise checks.InvalidArgument(
            "nnls: A must be of shape (m, n) and b of shape (m,) or (m, k), got "
            f"{A.shape} and {b.shape}"
        )
    kind = jnp.result_type(A, b, 0.0)
    A, b = (
        A.astype(numerics.compute_dtype(kind)),
        b.astype(numerics.compute_dtype(kind)),
    )
    gram, target = A.T @ A, A.T @ b
    bound = jnp.asarray(_eigenvalue_bound(gram) if L is None else L, gram.dtype)
    bound = jnp.where(bound == 0, 1, bound)

    def step(loop: Any, _: Any) -> tuple[Any, None]:
        x, y, c = loop
        new = jnp.maximum(y - (gram @ y - target) / bound, 0)
        new_c = (1 + jnp.sqrt(1 + 4 * c * c)) / 2
        return (new, new + (c - 1) / new_c * (new - x), new_c), None

    zero = jnp.zeros_like(target)
    start = zero, zero, jnp.zeros((), gram.dtype)
    (x, _, _), _ = scan(step, start, length=iters, unroll=unroll)
    return x.astype(kind)


def _eigenvalue_bound(gram: jax.Array) -> jax.Array:
    """Return the smaller of two norms, each above the largest eigenvalue."""
    sums = jnp.sum(jnp.abs(gram), axis=0)
    frobenius = numerics.sqrt(jnp.sum(gram * gram))
    return jnp.minimum(frobenius, jnp.max(sums, initial=0))
