"""Running means of gradients, leaf by leaf, as optimizers keep them.

All are computed in float32 or wider, and a result is of the wider type of gradient and
moment, whatever the type of the decay. A leaf whose gradient is None stays None.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import Count, PyTree, Scalar, Updates


def update_moment(
    updates: Updates, moments: PyTree, decay: Scalar, order: int
) -> PyTree:
    """Return β m + (1 - β) gᵒ.

    Args:
      updates: g, a tree of arrays; where it is None, the result is too.
      moments: m, of the same structure.
      decay: β, in [0, 1]: how much of m is kept.
      order: o, the power of g, a whole number of at least 1.

    Example:
      >>> print(gradtx.update_moment(2 * jnp.ones(2), jnp.zeros(2), 0.9, 2).round(3))
      [0.4 0.4]
    """
    return _moved(
        lambda g, m: numerics.ema(m, _power(g, order), decay), updates, moments
    )


def update_moment_per_elem_norm(
    updates: Updates, moments: PyTree, decay: Scalar, order: int
) -> PyTree:
    """Return β m + (1 - β) |g|ᵒ for complex g, and β m + (1 - β) gᵒ for real g.

    Args:
      updates: g, a tree of real or complex arrays; where it is None, the result is too.
      moments: m, real and of the same structure.
      decay: β, in [0, 1]: how much of m is kept.
      order: o, the power of |g|, a whole number of at least 1.

    Example:
      >>> print(
      ...     gradtx.update_moment_per_elem_norm(
      ...         2 * jnp.ones(2), jnp.zeros(2), 0.9, 2
      ...     ).round(3)
      ... )
      [0.4 0.4]
    """

    def rule(g: jax.Array, m: jax.Array) -> jax.Array:
        return numerics.ema(m, _size_power(g, order), decay)

    return _moved(rule, updates, moments)


def _power(g: jax.Array, order: int) -> jax.Array:
    if order == 2 and jnp.isrealobj(g):  # noqa: PLR2004
        return numerics.abs_sq(g)  # which stays finite
    return g**order


def _size_power(g: jax.Array, order: int) -> jax.Array:
    if jnp.isrealobj(g):
        return _power(g, order)
    square = numerics.abs_sq(g)
    half, odd = divmod(order, 2)
    return numerics.sqrt(square) ** order if odd else square ** int(half)


def update_infinity_moment(
    updates: Updates, moments: PyTree, decay: Scalar, eps: Scalar
) -> PyTree:
    """Return max(β m, |g| + ε).

    Args:
      updates: g, a tree of arrays; where it is None, the result is too.
      moments: m, of the same structure.
      decay: β, in [0, 1]: how much of m is kept.
      eps: ε, at least 0, which keeps the result above 0.

    Example:
      >>> print(gradtx.update_infinity_moment(jnp.ones(2), jnp.zeros(2), 0.9, 0.0))
      [1. 1.]
    """
    return _moved(
        lambda g, m: jnp.maximum(decay * m, jnp.abs(g) + eps), updates, moments
    )


def bias_correction(moment: PyTree, decay: Scalar, count: Count) -> PyTree:
    """Return m / (1 - βᵗ): running means that started at 0, made unbiased.

    1 - βᵗ is computed without cancellation, in float32 or wider; the leaves keep their
    types.

    Args:
      moment: m, a tree of arrays.
      decay: β, in [0, 1): the decay with which m was made.
      count: t, the number of steps that went into m, from 1.

    Example:
      >>> moment = {"a": 0.1 * jnp.ones(2)}
      >>> print(gradtx.bias_correction(moment, 0.9, 1)["a"].round(3))
      [1. 1.]
    """

    def one(m: Any) -> jax.Array:
        m = jnp.asarray(m)
        wide = m.astype(numerics.compute_dtype(m.dtype))
        return numerics.debias(wide, decay, count).astype(m.dtype)

    return jax.tree.map(one, moment)


def _moved(
    rule: Callable[[jax.Array, jax.Array], jax.Array], updates: Updates, moments: PyTree
) -> PyTree:
    """Apply a rule for one gradient and its moment to all."""

    def one(g: Any, m: Any) -> Any:
        if g is None:
            return None
        g, m = jnp.asarray(g), jnp.asarray(m)
        result = rule(*[x.astype(numerics.compute_dtype(x.dtype)) for x in (g, m)])
        return result.astype(_kept(result, g, m))

    return jax.tree.map(one, updates, moments, is_leaf=checks.is_none)


def _kept(result: jax.Array, g: jax.Array, m: jax.Array) -> Any:
    """Return the wider type of gradient and moment, as real as the result is."""
    kind = jnp.promote_types(g.dtype, m.dtype)
    if not jnp.issubdtype(kind, jnp.inexact):
        return result.dtype
    if jnp.iscomplexobj(result) or not jnp.issubdtype(kind, jnp.complexfloating):
        return kind
    return numerics.real_dtype(kind)
