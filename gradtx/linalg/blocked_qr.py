"""The orthogonal factor of a QR decomposition in two short loops.

XLA writes a decomposition for a TPU out block by block: for a matrix of 3,072 that took
minutes to compile. Two loops over blocks of columns are a program of one size.
"""

from functools import partial

import jax
import jax.numpy as jnp

from gradtx.linalg.kronecker import HIGHEST
from gradtx.lowering.control_flow import fori_loop

BLOCK = 64
"""Columns at a time: their reflections are applied to the rest as one product."""

_matmul = partial(jnp.matmul, precision=HIGHEST)


@partial(jnp.vectorize, signature="(n,n)->(n,n)")
def orthogonal_factor(a: jax.Array) -> jax.Array:
    """Return Q of A = Q R, as LAPACK has it: a product of Householder's reflections.

    In compact form a block's reflections H₁ ... H_b are I - V T Vᵀ, T upper triangular.
    A column that is 0 from the diagonal on has none, so that Q is orthogonal for any A.

    Args:
      a: square real matrices, of shape (..., n, n), in float32 or wider, with entries
        whose squares do not overflow.

    Reference: Schreiber and Van Loan, 1989, https://doi.org/10.1137/0910005 (the form)
    """
    n = len(a)
    width = min(BLOCK, n)
    count = -(-n // width)
    size = count * width
    padded = jnp.pad(a, (0, size - n))

    def forward(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        rest, vs, ts = carry
        block = jax.lax.dynamic_slice_in_dim(rest, i * width, width, axis=1)
        v, t = _reflections(block, i * width)
        rest = rest - _matmul(v, _matmul(t.T, _matmul(v.T, rest)))
        return rest, vs.at[i].set(v), ts.at[i].set(t)

    vs = jnp.zeros((count, size, width), a.dtype)
    ts = jnp.zeros((count, width, width), a.dtype)
    _, vs, ts = fori_loop(0, count, forward, (padded, vs, ts))

    def backward(i: jax.Array, q: jax.Array) -> jax.Array:
        v, t = vs[count - 1 - i], ts[count - 1 - i]
        return q - _matmul(v, _matmul(t, _matmul(v.T, q)))

    q = fori_loop(0, count, backward, jnp.eye(size, dtype=a.dtype))
    return q[:n, :n]


def _reflections(block: jax.Array, first: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return V and T of the reflections that make some columns upper triangular.

    Args:
      block: the columns.
      first: the number of the first one, whose reflection starts at that row.
    """
    rows = jnp.arange(len(block))

    def column(j: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        block, v, t = carry
        new, tau = _reflection(block[:, j], rows - (first + j))
        block = block - tau * jnp.outer(new, _times(new, block))
        # T grows by a column: -τ T Vᵀ v, above τ.
        column = -tau * _times(_times(new, v), t.T)
        return block, v.at[:, j].set(new), t.at[:, j].set(column.at[j].set(tau))

    width = block.shape[1]
    start = block, jnp.zeros_like(block), jnp.zeros((width, width), block.dtype)
    _, v, t = fori_loop(0, width, column, start)
    return v, t


def _times(x: jax.Array, a: jax.Array) -> jax.Array:
    """Return x A, as a sum of rows: a product of a vector is too small for a unit."""
    return jnp.sum(x[:, None] * a, axis=0)


def _reflection(x: jax.Array, below: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return v and τ such that I - τ v vᵀ takes a column's entries below a row to 0.

    Args:
      x: the column.
      below: how far below the row each entry is.
    """
    alpha = jnp.sum(jnp.where(below == 0, x, 0))
    tail = jnp.where(below > 0, x, 0)
    squares = jnp.sum(tail * tail)
    length = jnp.sqrt(alpha * alpha + squares)
    beta = jnp.where(alpha < 0, length, -length)
    there = squares != 0  # so that what is not a number is not lost
    tau = jnp.where(there, (beta - alpha) / jnp.where(there, beta, 1), 0)
    v = jnp.where(below == 0, 1, tail / jnp.where(there, alpha - beta, 1))
    return v, tau
