"""The largest eigenvalue of a matrix or a linear function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import Precision

from gradtx.common import checks, numerics
from gradtx.common.types import PyTree, Scalar
from gradtx.lowering.control_flow import while_loop
from gradtx.tree.norms import norm
from gradtx.tree.reduction import vdot

_HIGHEST = Precision.HIGHEST


def power_iteration(
    matrix: jax.Array | Callable[[PyTree], PyTree],
    *,
    v0: PyTree | None = None,
    num_iters: int = 100,
    error_tolerance: Scalar = 1e-6,
    precision: Any = _HIGHEST,
    key: jax.Array | None = None,
) -> tuple[jax.Array, PyTree]:
    """Find the eigenvalue of largest modulus, and its eigenvector.

        v ← A v / ‖A v‖,   λ = ⟨v, A v⟩         until ‖A v - λ v‖ ≤ tolerance · |λ|

    Args:
      matrix: A, an array of shape (n, n), or a linear function from trees to trees of
        the same structure. It must have one eigenvalue of largest modulus.
      v0: the first v: an array of shape (n,), or a tree that the function takes. For
        an array, a random one if None.
      num_iters: how often to iterate at most.
      error_tolerance: the relative error to stop at.
      precision: of the products with an array.
      key: for the random ``v0``; that of the number 0 if None.

    Returns:
      The eigenvalue and the eigenvector of norm 1, of the structure of ``v0``. Both are
      0 where A v₀ is.

    Raises:
      ValueError: if ``matrix`` is a function and there is no ``v0``, or it is an array
        that is not square.

    Reference: von Mises and Pollaczek-Geiringer, 1929; Golub and Van Loan, Matrix
      Computations, section 7.3

    Example:
      >>> value, vector = gradtx.power_iteration(jnp.diag(jnp.array([3.0, 1.0])))
      >>> print(value.round(3))
      3.0000002
    """
    product, start = _product_and_start(matrix, v0, precision, key)

    def goes_on(loop: Any) -> jax.Array:
        v, image, value, t = loop
        rest = norm(jax.tree.map(lambda y, x: y - value * x, image, v))
        return ~(rest <= error_tolerance * jnp.abs(value)) & (t < num_iters)

    def step(loop: Any) -> Any:
        _, image, _, t = loop
        v = _unit(image)
        image = product(v)
        return v, image, vdot(v, image), t + 1

    v = _unit(start)
    image = product(v)
    first = v, image, vdot(v, image), jnp.zeros((), jnp.int32)
    _, image, value, _ = while_loop(goes_on, step, first)
    return value, _unit(image)


def _product_and_start(
    matrix: Any, v0: PyTree, precision: Any, key: Any
) -> tuple[Callable[[PyTree], PyTree], PyTree]:
    """Return v ↦ A v, and the first v."""
    if callable(matrix):
        if v0 is None:
            raise checks.InvalidArgument(
                "power_iteration: where the matrix is a function, give v0, as its "
                "structure is not known otherwise"
            )
        return matrix, v0
    array = jnp.asarray(matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:  # noqa: PLR2004
        raise checks.InvalidArgument(
            f"power_iteration: expected a square matrix, got shape {array.shape}"
        )
    if v0 is None:
        key = jax.random.PRNGKey(0) if key is None else key
        kind = numerics.real_dtype(array.dtype)
        v0 = jax.random.uniform(key, array.shape[-1:], kind, -1, 1).astype(array.dtype)
    return lambda v: jnp.matmul(array, v, precision=precision), v0


def _unit(x: PyTree) -> PyTree:
    length = norm(x)
    return jax.tree.map(lambda y: numerics.safe_divide(y, length).astype(y.dtype), x)
