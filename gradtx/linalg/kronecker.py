"""Products along the axes of stacked arrays, and the sums that factors are made of.

Every array here begins with a batch axis, and axis i of a block is its axis i + 1.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import Precision

from gradtx.common.numerics import largest_square
from gradtx.linalg.one_by_one import each_matrix

HIGHEST = Precision.HIGHEST
"""Factors are sums of squares of what may differ by much: fewer bits are too coarse."""

Factors = Sequence[jax.Array | None]


def multiply_axes(
    x: jax.Array,
    matrices: Factors,
    *,
    transpose: bool = False,
    precision: Any = HIGHEST,
) -> jax.Array:
    """Multiply a block along every axis: y[..., j, ...] = Σᵢ x[..., i, ...] Q[i, j].

    For a matrix that is Q₁ᵀ X Q₂.

    Args:
      x: of shape (n, d₁, ..., dₖ).
      matrices: for each axis Q of shape (n, dᵢ, eᵢ), or None where it stays.
      transpose: whether to multiply by the transposes, which undoes orthogonal ones.
      precision: of the products.
    """
    for i, q in enumerate(matrices):
        if q is not None:
            x = _along(x, q.mT if transpose else q, i, precision)
    return x


def solve_axes(x: jax.Array, factors: Factors) -> jax.Array:
    """Multiply a block by the inverse transposes of triangular matrices: Q^(-T) x.

    Args:
      x: of shape (n, d₁, ..., dₖ).
      factors: for each axis an upper triangular matrix of shape (n, dᵢ, dᵢ), or a
        diagonal of shape (n, dᵢ).
    """
    for i, q in enumerate(factors):
        if q is None:
            continue
        if q.ndim == 2:  # noqa: PLR2004
            x = scale_axis(x, 1 / q, i)
            continue
        front = jnp.moveaxis(x, i + 1, 1)
        flat = front.reshape(*front.shape[:2], -1)
        solved = each_matrix(_solved, q, flat)
        x = jnp.moveaxis(solved.reshape(front.shape), 1, i + 1)
    return x


def _solved(q: jax.Array, x: jax.Array) -> jax.Array:
    return jax.lax.linalg.triangular_solve(
        q, x, left_side=True, lower=False, transpose_a=True
    )


def _along(x: jax.Array, q: jax.Array, i: int, precision: Any) -> jax.Array:
    n, *dims = x.shape
    if i == len(dims) - 1:
        flat = x.reshape(n, math.prod(dims[:i]), dims[i])
        y = jnp.matmul(flat, q, precision=precision)
        return y.reshape(n, *dims[:i], q.shape[-1])
    before, after = math.prod(dims[:i]), math.prod(dims[i + 1 :])
    flat = x.reshape(n, before, dims[i], after)
    y = jnp.matmul(q.mT[:, None], flat, precision=precision)
    return y.reshape(n, *dims[:i], q.shape[-1], *dims[i + 1 :])


def gram(x: jax.Array, i: int, *, precision: Any = HIGHEST) -> jax.Array:
    """Return X₍ᵢ₎ X₍ᵢ₎ᵀ, where X₍ᵢ₎ is the block unfolded along axis i.

    Entries are bounded, so that no sum overflows: as :func:`abs_sq` bounds squares.

    Args:
      x: of shape (n, d₁, ..., dₖ).
      i: the axis that is not summed over.
      precision: of the product.

    Returns:
      An array of shape (n, dᵢ, dᵢ).
    """
    x, (n, *dims) = bounded(x), x.shape
    if i == len(dims) - 1:
        flat = x.reshape(n, math.prod(dims[:i]), dims[i])
        return jnp.matmul(flat.mT, flat, precision=precision)
    flat = jnp.moveaxis(x, i + 1, 1).reshape(n, dims[i], -1)
    return jnp.matmul(flat, flat.mT, precision=precision)


def bounded(x: jax.Array) -> jax.Array:
    """Return a block with entries so small that squares summed stay finite.

    That is over all axes but one, whichever: so the factors of all are made of one.
    """
    terms = math.prod(x.shape[1:]) // max(min(x.shape[1:], default=1), 1)
    limit = math.sqrt(largest_square(x.dtype) / max(terms, 1))
    return jnp.clip(x, -limit, limit)


def sums_of_squares(x: jax.Array, i: int) -> jax.Array:
    """Return the diagonal of :func:`gram`, of shape (n, dᵢ)."""
    x = bounded(x)
    return jnp.sum(x * x, axis=tuple(j for j in range(1, x.ndim) if j != i + 1))


def scale_axis(x: jax.Array, vector: jax.Array, i: int) -> jax.Array:
    """Multiply a block by a number for every index of axis i, of shape (n, dᵢ)."""
    shape = [1] * x.ndim
    shape[0], shape[i + 1] = vector.shape
    return x * vector.reshape(shape)


def norms(x: jax.Array) -> jax.Array:
    """Return the Frobenius norm of every block, which neither over- nor underflows.

    Returns:
      An array of shape (n, 1, ..., 1).
    """
    axes = tuple(range(1, x.ndim))
    size = jnp.abs(jax.lax.stop_gradient(x))
    top = jnp.max(size, axis=axes, keepdims=True, initial=0)
    top = jnp.where((top > 0) & (top < jnp.inf), top, 1)
    square = jnp.sum((x / top) ** 2, axis=axes, keepdims=True)
    zero = square == 0
    return jnp.where(zero, 0, top * jnp.sqrt(jnp.where(zero, 1, square)))


def spectral_norm_bound(matrices: jax.Array) -> jax.Array:
    """Return a lower bound of the largest eigenvalue, by one step from the best column.

        ν = ‖A y‖ / ‖y‖    with y = A x, x the column of A of largest norm

    Args:
      matrices: A, symmetric and positive semidefinite, of shape (n, d, d).

    Returns:
      An array of shape (n, 1, 1), 0 for a matrix of zeros; at least 1/√2 of the largest
      eigenvalue, by experience.

    Reference: Li, 2024, https://arxiv.org/abs/2402.11858
    """
    top = jnp.max(jnp.abs(matrices), axis=(1, 2), keepdims=True, initial=0)
    a = matrices / jnp.where(top == 0, 1, top)
    best = jnp.argmax(jnp.sum(a * a, axis=1), axis=-1)
    x = jnp.take_along_axis(a, best[:, None, None], axis=2)
    y = jnp.matmul(a, x, precision=HIGHEST)
    image = jnp.matmul(a, y, precision=HIGHEST)
    below = norms(y)
    return top * norms(image) / jnp.where(below == 0, jnp.inf, below)
