"""Projections onto spheres and balls of the Euclidean norm."""

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import PyTree, Scalar
from gradtx.projections import leaves


def projection_l2_sphere(tree: PyTree, scale: Scalar = 1) -> PyTree:
    """Return the nearest tree whose Euclidean norm is ``scale``.

        argmin ‖x - y‖²  over  ‖y‖₂ = s        y = s x / ‖x‖₂

    For x = 0, from which all are equally far, it is the one with equal entries.

    Args:
      tree: x; its leaves are taken together as one vector.
      scale: s ≥ 0.

    Raises:
      ValueError: if the scale is negative.

    Example:
      >>> print(gradtx.projections.projection_l2_sphere(jnp.array([0.3, 0.4])).round(3))
      [0.6 0.8]
    """
    checks.non_negative(scale=scale)
    x = leaves.floats(tree)
    unit, length, _ = _unit(leaves.widen(x))
    entries = max(sum(leaf.size for leaf in jax.tree.leaves(x)), 1)

    zero = length == 0

    def move(leaf: jax.Array) -> jax.Array:
        return scale * jnp.where(zero, jnp.full_like(leaf, entries**-0.5), leaf)

    return leaves.narrow(jax.tree.map(move, unit), x)


def projection_l2_ball(tree: PyTree, scale: Scalar = 1) -> PyTree:
    """Return the nearest tree whose Euclidean norm is at most ``scale``.

        argmin ‖x - y‖²  over  ‖y‖₂ ≤ s        y = x / max(1, ‖x‖₂ / s)

    Args:
      tree: x; its leaves are taken together as one vector.
      scale: s ≥ 0.

    Raises:
      ValueError: if the scale is negative.

    Example:
      >>> print(gradtx.projections.projection_l2_ball(jnp.array([3.0, 4.0])).round(3))
      [0.6 0.8]
    """
    checks.non_negative(scale=scale)
    x = leaves.floats(tree)
    wide = leaves.widen(x)
    unit, length, size = _unit(wide)
    inside = length <= scale / size
    inner = jax.tree.map(lambda u, w: jnp.where(inside, w, scale * u), unit, wide)
    return leaves.narrow(inner, x)


def _unit(tree: PyTree) -> tuple[PyTree, jax.Array, jax.Array]:
    """Return x / ‖x‖, and ‖x‖ as a factor times the largest modulus."""
    x, size = leaves.scaled(tree)
    squares = [jnp.sum(numerics.abs_sq(leaf)) for leaf in jax.tree.leaves(x)]
    length = numerics.sqrt(leaves.total(squares))
    divisor = jnp.where(length == 0, 1, length)
    return leaves.times(1 / divisor, x), length, size
