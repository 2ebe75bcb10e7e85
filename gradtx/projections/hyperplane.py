"""Projections onto a line, a hyperplane and a half-space."""

import jax
import jax.numpy as jnp

from gradtx.common.types import PyTree, Scalar
from gradtx.projections import leaves


def projection_vector(x: PyTree, a: PyTree) -> PyTree:
    """Return the nearest multiple of a tree.

        y = (⟨a, x⟩ / ⟨a, a⟩) a

    For a = 0, whose only multiple is 0, it is 0.

    Args:
      x: the tree to project.
      a: a tree of the same structure and shapes.

    Raises:
      ValueError: if the trees do not match; the leaf is named.

    Example:
      >>> print(
      ...     gradtx.projections.projection_vector(
      ...         jnp.array([3.0, 1.0]), jnp.array([2.0, 0.0])
      ...     )
      ... )
      [3. 0.]
    """
    name = "projection_vector"
    x = leaves.floats(x)
    a, _ = leaves.scaled(leaves.widen(leaves.matched(name, "a", a, x)))
    factor = _over_square(_dot(a, leaves.widen(x)), a)
    return leaves.narrow(leaves.times(factor, a), x)


def projection_hyperplane(x: PyTree, a: PyTree, b: Scalar) -> PyTree:
    """Return the nearest tree y with ⟨a, y⟩ = b.

        y = x + ((b - ⟨a, x⟩) / ⟨a, a⟩) a

    For a = 0, which makes no hyperplane, it is x.

    Args:
      x: the tree to project.
      a: a tree of the same structure and shapes, orthogonal to the hyperplane.
      b: a number.

    Raises:
      ValueError: if the trees do not match; the leaf is named.

    Example:
      >>> print(
      ...     gradtx.projections.projection_hyperplane(
      ...         jnp.array([3.0, 1.0]), jnp.array([1.0, 0.0]), 2.0
      ...     )
      ... )
      [2. 1.]
    """
    name = "projection_hyperplane"
    x = leaves.floats(x)
    a, size = leaves.scaled(leaves.widen(leaves.matched(name, "a", a, x)))
    missing = b / size - _dot(a, leaves.widen(x))
    return _moved(x, a, _over_square(missing, a))


def projection_halfspace(x: PyTree, a: PyTree, b: Scalar) -> PyTree:
    """Return the nearest tree y with ⟨a, y⟩ ≤ b.

        y = x - (max(0, ⟨a, x⟩ - b) / ⟨a, a⟩) a

    For a = 0, which makes no half-space, it is x.

    Args:
      x: the tree to project.
      a: a tree of the same structure and shapes, orthogonal to the border.
      b: a number.

    Raises:
      ValueError: if the trees do not match; the leaf is named.

    Example:
      >>> print(
      ...     gradtx.projections.projection_halfspace(
      ...         jnp.array([3.0, 1.0]), jnp.array([1.0, 0.0]), 2.0
      ...     )
      ... )
      [2. 1.]
    """
    name = "projection_halfspace"
    x = leaves.floats(x)
    a, size = leaves.scaled(leaves.widen(leaves.matched(name, "a", a, x)))
    missing = b / size - _dot(a, leaves.widen(x)).real
    return _moved(x, a, _over_square(jnp.minimum(missing, 0), a))


def _dot(a: PyTree, x: PyTree) -> jax.Array:
    terms = jax.tree.map(lambda p, q: jnp.sum(jnp.conj(p) * q), a, x)
    return leaves.total(jax.tree.leaves(terms))


def _over_square(number: jax.Array, a: PyTree) -> jax.Array:
    """Return number / ⟨a, a⟩, and 0 for a = 0."""
    square = _dot(a, a).real
    none = square == 0
    return jnp.where(none, 0, number / jnp.where(none, 1, square))


def _moved(x: PyTree, a: PyTree, factor: jax.Array) -> PyTree:
    way = leaves.times(factor, a)
    return leaves.narrow(jax.tree.map(jnp.add, leaves.widen(x), way), x)
