"""Projections onto a simplex, and onto spheres and balls of the l1 norm."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree, Scalar
from gradtx.projections import leaves


def projection_simplex(tree: PyTree, scale: Scalar = 1) -> PyTree:
    """Return the nearest tree without negative entries and with the sum ``scale``.

        argmin ‖x - y‖²  over  y ≥ 0, Σ y = s        y = max(0, x - τ)

    where τ is such that the entries add up to s.

    Args:
      tree: x; its leaves are taken together as one vector.
      scale: s ≥ 0.

    Raises:
      ValueError: if the scale is negative.
      TypeError: if a leaf is complex.

    Reference: Duchi et al., Efficient Projections onto the l1-Ball, 2008.

    Example:
      >>> print(gradtx.projections.projection_simplex(jnp.array([2.0, 0.0])))
      [1. 0.]
    """
    checks.non_negative(scale=scale)
    x, back = leaves.as_vector(leaves.reals("projection_simplex", tree))
    return back(_simplex(x, jnp.asarray(scale, x.dtype)))


def projection_l1_sphere(tree: PyTree, scale: Scalar = 1) -> PyTree:
    """Return the nearest tree whose moduli add up to ``scale``.

        argmin ‖x - y‖²  over  ‖y‖₁ = s

    An entry of 0, for which both signs are equally near, counts as positive.

    Args:
      tree: x; its leaves are taken together as one vector.
      scale: s ≥ 0.

    Raises:
      ValueError: if the scale is negative.
      TypeError: if a leaf is complex.

    Example:
      >>> print(gradtx.projections.projection_l1_sphere(jnp.array([0.25, 0.25])))
      [0.5 0.5]
    """
    checks.non_negative(scale=scale)
    x, back = leaves.as_vector(leaves.reals("projection_l1_sphere", tree))
    return back(_l1_sphere(x, jnp.asarray(scale, x.dtype)))


def projection_l1_ball(tree: PyTree, scale: Scalar = 1) -> PyTree:
    """Return the nearest tree whose moduli add up to at most ``scale``.

        argmin ‖x - y‖²  over  ‖y‖₁ ≤ s

    Args:
      tree: x; its leaves are taken together as one vector.
      scale: s ≥ 0.

    Raises:
      ValueError: if the scale is negative.
      TypeError: if a leaf is complex.

    Reference: Duchi et al., Efficient Projections onto the l1-Ball, 2008.

    Example:
      >>> print(gradtx.projections.projection_l1_ball(jnp.array([3.0, 0.5])))
      [1. 0.]
    """
    checks.non_negative(scale=scale)
    x, back = leaves.as_vector(leaves.reals("projection_l1_ball", tree))
    scale = jnp.asarray(scale, x.dtype)
    inside = jnp.sum(jnp.abs(x)) <= scale
    return back(jnp.where(inside, x, _l1_sphere(x, scale)))


def _l1_sphere(x: jax.Array, scale: jax.Array) -> jax.Array:
    sign = jnp.where(x < 0, -1, 1).astype(x.dtype)
    return sign * _simplex(sign * x, scale)


def _simplex(x: jax.Array, scale: jax.Array) -> jax.Array:
    if not x.size:
        return x
    # Moving all entries alike moves τ, not y; near 0 the sums keep their digits.
    x = x - jax.lax.stop_gradient(jnp.max(x))
    support = jax.lax.stop_gradient(_support(x, scale))
    number = jnp.sum(support).astype(x.dtype)
    threshold = (jnp.sum(x, where=support) - scale) / number
    return jnp.where(support, jnp.maximum(x - threshold, 0), 0)


def _support(x: jax.Array, scale: jax.Array) -> jax.Array:
    """Return where the projection is positive: at the k largest entries of x.

    k is the largest number with k x₍ₖ₎ > x₍₁₎ + ... + x₍ₖ₎ - s.
    """
    ordered = jnp.sort(x, descending=True)
    ranks = jnp.arange(1, x.size + 1).astype(x.dtype)
    positive = ranks * ordered > jnp.cumsum(ordered) - scale
    number = jnp.maximum(jnp.sum(positive), 1)
    return ~(x < ordered[number - 1])  # NaN stays in, and so comes out
