"""The triangular and diagonal factors of PSGD, and how they are fitted.

P = Qᵀ Q with a factor Q for every axis: for n blocks and an axis of length d an upper
triangular matrix of shape (n, d, d), or a diagonal of shape (n, d).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import compute_dtype, real_dtype
from gradtx.common.types import Scalar
from gradtx.core.stacking import sharded_along
from gradtx.linalg.blocks import Blocks, Dims
from gradtx.linalg.kronecker import (
    HIGHEST,
    gram,
    multiply_axes,
    norms,
    scale_axis,
    solve_axes,
    spectral_norm_bound,
    sums_of_squares,
)

MODES = (None, "one_diag", "all_diag")
DAMPING = 2.0**-11.5  # the root of the rounding error of float32
CLIP = 1.1  # a whitened update has a root mean square of 1


def check_mode(mode: Any) -> None:
    """Refuse a mode that there is not."""
    if mode not in MODES:
        raise checks.InvalidArgument(
            f"memory_save_mode must be one of {', '.join(map(repr, MODES))}, got "
            f"{mode!r}"
        )


def plan(shape: Dims, numbers: Any, path: Any, *, left: bool) -> Blocks:
    """Take a leaf for one tensor, and a number for a vector of one entry."""
    return Blocks(shape, numbers, path, merge=lambda dims: dims or (1,), left=left)


def are_diagonal(
    blocks: Blocks, dims: Dims, max_size: int, min_ndim: int, mode: str | None
) -> tuple[bool, ...]:
    """Return which axes have a diagonal factor.

    Args:
      blocks: how a leaf is taken apart.
      dims: the shape of one of its blocks.
      max_size: how long an axis with a triangular one may be.
      min_ndim: how many axes a tensor with triangular ones has at least.
      mode: "one_diag" makes the longest axis diagonal, of several the last; "all_diag"
        makes all so.
    """
    if blocks.left or blocks.elementwise or mode == "all_diag" or len(dims) < min_ndim:
        return (True,) * len(dims)
    longest = max(range(len(dims)), key=lambda i: (dims[i], i))
    return tuple(
        d == 1 or d > max_size or (mode == "one_diag" and i == longest)
        for i, d in enumerate(dims)
    )


def start(p: jax.Array, blocks: Blocks, scale: Scalar, *limits: Any) -> Any:
    """Return the first factors: multiples of the identity, of product ``scale``.

    Args:
      p: the parameter.
      blocks: how it is taken apart.
      scale: the product of the multiples.
      *limits: as :func:`are_diagonal` takes them.
    """
    dtype = compute_dtype(real_dtype(p.dtype))
    size = jnp.asarray(scale, dtype) ** (1 / max(len(blocks.dims), 1))

    def one(n: int, i: int, d: int, *, diagonal: bool) -> jax.Array:
        one = jnp.ones(d, dtype) if diagonal else jnp.eye(d, dtype=dtype)
        made = jnp.broadcast_to(size * one, (n, *one.shape))
        return sharded_along(p, blocks, i, made)

    def of_region(n: int, dims: Dims) -> Any:
        diagonal = are_diagonal(blocks, dims, *limits)
        return tuple(one(n, i, d, diagonal=diagonal[i]) for i, d in enumerate(dims))

    return tuple(of_region(*blocks.sizes(region)) for region in blocks.regions)


def applied(x: jax.Array, factors: Any, *, transpose: bool = False) -> jax.Array:
    """Return Q x along every axis, or Qᵀ x."""
    for i, q in enumerate(factors):
        if q.ndim == 2:  # noqa: PLR2004
            x = scale_axis(x, q, i)
        else:
            alone = [None] * i + [q]
            x = multiply_axes(x, alone, transpose=not transpose)
    return x


def preconditioned(x: jax.Array, factors: Any) -> jax.Array:
    """Return Qᵀ Q x along every axis, cut down to a root mean square of 1.1."""
    u = applied(applied(x, factors), factors, transpose=True)
    rms = norms(u) / math.sqrt(max(math.prod(u.shape[1:]), 1))
    return u / jnp.maximum(1, rms / CLIP)


def fitted(
    rate: Scalar, balance: Any, x: jax.Array, probe: jax.Array, factors: Any
) -> Any:
    """Return the factors after one step towards what whitens x.

    Args:
      rate: the learning rate of the factors.
      balance: whether to bring the factors to one size first.
      x: the gradients, of shape (n, ...).
      probe: standard normal numbers of the same shape.
      factors: Q.
    """
    x, probe, kept = jax.lax.stop_gradient((x, probe, tuple(factors)))
    factors = kept
    if len(factors) > 1:
        factors = _balanced(balance, factors)
    axes = tuple(range(1, x.ndim))
    # The mean of sizes relative to the largest cannot overflow.
    top = jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=0)
    still = top == 0
    x = x / jnp.where(still, 1, top)
    mean = jnp.sum(jnp.abs(x), axis=axes, keepdims=True) / max(x[0].size, 1)
    x = x + DAMPING * mean * probe
    a, b = applied(x, factors), solve_axes(probe, factors)
    a, b = _in_one_unit(a, top, b)
    new = tuple(_step(rate, a, b, i, q) for i, q in enumerate(factors))
    # Nothing is to be learned from no gradient at all: Q would grow and grow.
    return jax.tree.map(
        lambda q, old: jnp.where(_per_block(still, q), old, q),
        new,
        kept,
    )


def _in_one_unit(
    a: jax.Array, unit: jax.Array, b: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return a · unit and b, divided by the largest entry of both."""
    axes = tuple(range(1, a.ndim))
    size = jnp.max(jnp.abs(a), axis=axes, keepdims=True, initial=0) * unit
    top = jnp.maximum(size, jnp.max(jnp.abs(b), axis=axes, keepdims=True, initial=0))
    top = jnp.where((top > 0) & (top < jnp.inf), top, 1)
    return a * (unit / top), b / top


def _step(rate: Scalar, a: jax.Array, b: jax.Array, i: int, q: jax.Array) -> Any:
    tiny = jnp.finfo(q.dtype).tiny
    if q.ndim == 2:  # noqa: PLR2004
        one, two = sums_of_squares(a, i), sums_of_squares(b, i)
        bound = jnp.max(one + two, axis=-1, keepdims=True, initial=0)
        return q - rate * (one - two) * q / (bound + tiny)
    one, two = gram(a, i), gram(b, i)
    bound = spectral_norm_bound(one + two)
    change = rate * jnp.triu(one - two) / (bound + tiny)
    return q - jnp.matmul(change, q, precision=HIGHEST)


def _balanced(balance: Any, factors: Any) -> Any:
    """Give all factors of a block the geometric mean of their largest entries.

    The ratios are numbers of float32, as in the program.
    """
    sizes = [
        jnp.max(jnp.abs(q), tuple(range(1, q.ndim)), initial=0).astype(jnp.float32)
        for q in factors
    ]
    mean = math.prod(sizes[1:], start=sizes[0]) ** (1 / len(sizes))
    return tuple(
        jnp.where(balance, q * _per_block(mean / s, q), q)
        for q, s in zip(factors, sizes, strict=True)
    )


def _per_block(x: jax.Array, q: jax.Array) -> jax.Array:
    """Return one thing for every block in the form of its factor."""
    return x.reshape(-1, *[1] * (q.ndim - 1)).astype(
        q.dtype if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype
    )
