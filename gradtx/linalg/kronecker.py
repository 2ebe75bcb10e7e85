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
    x, (n, *dims) = bounded(x, i), x.shape
    if i == len(dims) - 1:
        flat = x.reshape(n, math.prod(dims[:i]), dims[i])
        return jnp.matmul(flat.mT, flat, precision=precision)
    flat = jnp.moveaxis(x, i + 1, 1).reshape(n, dims[i], -1)
    return jnp.matmul(flat, flat.mT, precision=precision)


def bounded(x: jax.Array, i: int) -> jax.Array:
    """Return a block with entries so small that squares summed along i stay finite."""
    terms = math.prod(x.shape[1:]) // max(x.shape[i + 1], 1)
    limit = math.sqrt(largest_square(x.dtype) / max(terms, 1))
    return jnp.clip(x, -limit, limit)


def sums_of_squares(x: jax.Array, i: int) -> jax.Array:
    """Return the diagonal of :func:`gram`, of shape (n, dᵢ)."""
    x = bounded(x, i)
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
