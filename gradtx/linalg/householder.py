"""The orthogonal factor of a QR decomposition, in a program of one size for all.

XLA writes the QR for a TPU out, every panel of columns apart, and takes minutes to
compile that of a long matrix. This is a loop over panels of one width.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.linalg.kronecker import HIGHEST
from gradtx.lowering.control_flow import fori_loop

PANEL = 128  # columns; as wide as a TPU's unit for products


def orthogonal_factor(a: jax.Array, panel: int = PANEL) -> jax.Array:
    """Return Q of A = Q R, by Householder reflections: orthogonal whatever A's rank.

    As LAPACK has it, the diagonal of R has the signs that cancel least.

    Args:
      a: square matrices, of shape (..., d, d).
      panel: how many columns are reflected at a time, before the others are.
    """
    d = a.shape[-1]
    wide = min(panel, d)
    missing = -d % wide
    # Zeros below and on the right are reflected into nothing.
    a = jnp.pad(a, [(0, 0)] * (a.ndim - 2) + [(0, missing)] * 2)
    eye = jnp.broadcast_to(jnp.eye(d + missing, dtype=a.dtype), a.shape)
    # Of (A, I) the reflections make (R, Qᵀ).
    both = jnp.concatenate([a, eye], axis=-1)
    step = partial(_with_panel_reflected, wide)
    both = fori_loop(0, (d + missing) // wide, step, both)
    return both[..., :d, d + missing : 2 * d + missing].mT


class _Panel(NamedTuple):
    """Some columns, and the reflections I - V T Vᵀ of those done, as one product."""

    columns: jax.Array
    v: jax.Array
    t: jax.Array


def _with_panel_reflected(wide: int, k: Any, both: jax.Array) -> jax.Array:
    columns = jax.lax.dynamic_slice_in_dim(both, k * wide, wide, axis=-1)
    t = jnp.zeros((*both.shape[:-2], wide, wide), both.dtype)
    start = _Panel(columns, jnp.zeros_like(columns), t)
    step = partial(_with_column_reflected, k * wide)
    _, v, t = fori_loop(0, wide, step, start)
    product = partial(jnp.matmul, precision=HIGHEST)
    return both - product(v, product(t.mT, product(v.mT, both)))


def _with_column_reflected(begin: Any, j: Any, panel: _Panel) -> _Panel:
    places = jax.lax.broadcasted_iota(jnp.int32, panel.t.shape[-1:], 0)
    v, tau = _reflection(
        jnp.sum(jnp.where(places == j, panel.columns, 0), -1), begin + j
    )
    onto, others = (jnp.sum(v[..., None] * x, -2) for x in (panel.columns, panel.v))
    t = -tau * jnp.sum(panel.t * others[..., None, :], -1)
    t = jnp.where(places == j, tau, t)
    return _Panel(
        panel.columns - (tau * v)[..., None] * onto[..., None, :],
        jnp.where(places == j, v[..., None], panel.v),
        jnp.where(places == j, t[..., None], panel.t),
    )


def _reflection(x: jax.Array, i: Any) -> tuple[jax.Array, jax.Array]:
    """Return v and τ of I - τ v vᵀ, which makes x zero below its entry i."""
    rows = jax.lax.broadcasted_iota(jnp.int32, x.shape[-1:], 0)
    x = jnp.where(rows < i, 0, x)
    top = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
    x = x / jnp.where(top == 0, 1, top)
    alpha = jnp.sum(jnp.where(rows == i, x, 0), axis=-1, keepdims=True)
    rest = jnp.where(rows == i, 0, x)
    square = jnp.sum(rest * rest, axis=-1, keepdims=True)
    done = square == 0
    beta = -jnp.where(alpha < 0, -1, 1) * jnp.sqrt(alpha * alpha + square)
    v = jnp.where(rows == i, 1, rest / jnp.where(done, 1, alpha - beta))
    return v, jnp.where(done, 0, (beta - alpha) / jnp.where(done, 1, beta))
