"""Bases in which positive semidefinite matrices are diagonal, or nearly.

What comes out is a constant to derivatives, as that of an eigenvector does not exist
where eigenvalues are equal. A zero matrix, or one that is not finite, gives no NaN.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.types import Scalar
from gradtx.linalg.householder import orthogonal_factor
from gradtx.linalg.kronecker import HIGHEST
from gradtx.linalg.one_by_one import each_matrix
from gradtx.lowering.control_flow import either, platform_dependent

Factor = Callable[[jax.Array], jax.Array]
_INTEGERS = {4: jnp.int32, 8: jnp.int64}  # by the bytes of a number
_QUICK_ON_TPU = 256  # how long the matrices are for which a TPU has a routine


def eigenvectors(matrices: jax.Array, *, descending: bool = False) -> jax.Array:
    """Return the eigenvectors of symmetric matrices, as columns.

    Args:
      matrices: of shape (n, d, d), in float32 or wider.
      descending: whether the eigenvalues fall from column to column.
    """
    _, vectors = _eigh(matrices)
    vectors = vectors[..., ::-1] if descending else vectors
    return _by_rows(vectors)


def _by_rows(x: jax.Array) -> jax.Array:
    """Return matrices as they are, in the order in which a product's result is stored.

    LAPACK stores by columns. A loop that carried its result would do so too, and what
    is in state would be transposed before and after it in every step.
    """
    flat = jax.lax.optimization_barrier(x.reshape(len(x), -1))
    return flat.reshape(x.shape)


def _eigh(matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Of matrices of about 1, as the algorithms square their entries.
    unit, a = _scaled(matrices)
    values, vectors = each_matrix(_decomposed, a)
    return values * unit[..., 0], vectors


def _decomposed(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    values, vectors = jnp.linalg.eigh(a)
    return values, vectors


def _decomposed_once(a: jax.Array) -> jax.Array:
    """Return eigenvectors that are found in one step of a run only.

    A TPU takes long to rotate a long matrix, but that is soon compiled.
    """
    # JAX has let one choose since 0.9 only.
    choices = getattr(jax.lax.linalg, "EighImplementation", None)
    if choices is None:
        return _decomposed(a)[1]

    def by_rotations(a: jax.Array) -> jax.Array:
        return jax.lax.linalg.eigh(a, implementation=choices.JACOBI)[0]

    return _quickly_compiled(lambda a: _decomposed(a)[1], by_rotations, a)


def _orthogonal(a: jax.Array) -> jax.Array:
    return _quickly_compiled(lambda a: jnp.linalg.qr(a)[0], orthogonal_factor, a)


def _quickly_compiled(usual: Factor, on_tpu: Factor, a: jax.Array) -> jax.Array:
    """Decompose long matrices otherwise on a TPU, whose compiler takes many minutes."""
    if a.shape[-1] <= _QUICK_ON_TPU:
        return usual(a)
    return platform_dependent(a, tpu=on_tpu, default=usual)


def _scaled(matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    still = jax.lax.stop_gradient(matrices)
    # No entry of a positive semidefinite matrix is above the largest on its diagonal,
    # and where one is not a number, one there is not.
    diagonal = still.reshape(len(still), -1)[:, :: still.shape[-1] + 1]
    top = jnp.max(jnp.abs(diagonal), axis=-1, initial=0)[:, None, None]
    unit = jnp.where((top > 0) & (top < jnp.inf), top, 1)
    return unit, still / unit


def turned(
    matrices: jax.Array, old: jax.Array, *, sort: bool, anew: Any = False
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Turn a basis towards the eigenvectors: one step of orthogonal iteration.

        Q ← the orthogonal factor of A Q[:, o]       o: by falling diagonal of Qᵀ A Q

    Args:
      matrices: A, of shape (n, d, d), positive semidefinite.
      old: Q, orthogonal.
      sort: whether to sort; otherwise the columns keep their order.
      anew: whether to return the eigenvectors instead, by falling eigenvalue; it may be
        traced. o is then the order as it is.

    Returns:
      The new basis, the old one's transpose times the new, and o, of shape (n, d).
      Where the result is not finite, the old basis.
    """
    _, a = _scaled(matrices)
    old = jax.lax.stop_gradient(old)

    def eigenbasis() -> tuple[jax.Array, jax.Array]:
        return each_matrix(_decomposed_once, a)[..., ::-1], _places(old[:, 0])

    def iterated() -> tuple[jax.Array, jax.Array]:
        # As A is symmetric it is written as the product below: one kernel does both.
        product = jnp.matmul(a.mT, old, precision=HIGHEST)
        order = _places(old[:, 0])
        if sort:
            order = falling(jnp.sum(old * product, axis=-2))
            product = jnp.take_along_axis(
                product, order[:, None], axis=-1, mode="promise_in_bounds"
            )
        # Not by way of the old basis: its rounding errors would grow from turn to turn.
        return each_matrix(_orthogonal, product), order

    new, order = either(anew, eigenbasis, iterated)
    # What is not finite anywhere is not finite in its last entry.
    finite = jnp.isfinite(new[:, -1:, -1:])
    new = _by_rows(jnp.where(finite, new, old))
    change = jnp.matmul(old.mT, new, precision=HIGHEST)
    return new, change, jnp.where(finite[..., 0], order, _places(order))


def falling(x: jax.Array) -> jax.Array:
    """Return the order in which the rows of x fall; of equals, the first is first."""
    x = jnp.where(x == 0, 0, -x)  # which leaves one of the two zeros
    bits = jax.lax.bitcast_convert_type(x, _INTEGERS[x.dtype.itemsize])
    # The integers are in the order of the numbers. To sort them, and their places where
    # they are equal, takes a kernel half as large as to sort numbers.
    key = jnp.where(bits < 0, bits ^ jnp.iinfo(bits.dtype).max, bits)
    return jax.lax.sort((key, _places(x)), is_stable=False, num_keys=2)[1]


def _places(x: jax.Array) -> jax.Array:
    return jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)


def inverse_power(
    matrices: jax.Array,
    power: Scalar,
    eps: Scalar,
    old: jax.Array,
    *,
    pseudo: bool = False,
) -> jax.Array:
    """Return (A + ε I)⁻ᵖ of symmetric matrices that are positive semidefinite, nearly.

    By rounding, the least eigenvalue λ of A + ε I may come out below ε, even below 0:
    then ε - λ is added to all.

    Args:
      matrices: A, of shape (n, d, d), in float32 or wider.
      power: p, above 0.
      eps: ε, at least 0.
      old: what to return where the result is not finite.
      pseudo: whether to leave directions out that A lacks: eigenvalues that are at most
        d times the rounding error of the largest become 0 in the result. For ε = 0.
    """
    eye = jnp.eye(matrices.shape[-1], dtype=matrices.dtype)[None]
    values, vectors = _eigh(matrices + eps * eye)
    values = _raised(values, power, eps, pseudo=pseudo)
    scaled = vectors * values[:, None, :]
    root = jnp.matmul(scaled, vectors.mT, precision=HIGHEST)
    finite = jnp.all(jnp.isfinite(root), axis=(-2, -1), keepdims=True)
    return jnp.where(finite, root, jax.lax.stop_gradient(old))


def _raised(values: jax.Array, power: Any, eps: Any, *, pseudo: bool) -> jax.Array:
    eps = jax.lax.stop_gradient(eps)
    power = jax.lax.stop_gradient(power)
    if pseudo:
        rounding = values.shape[-1] * jnp.finfo(values.dtype).eps
        least = rounding * jnp.maximum(values[:, -1:], 0)
    else:
        low = values[:, :1]
        values = jnp.where(low < eps, values - low + eps, values)
        least = jnp.zeros_like(low)
    zero = values <= least
    return jnp.where(zero, 0, jnp.where(zero, 1, values) ** -power)
