"""Projections onto boxes: each entry is clipped on its own."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree, Scalar


def projection_non_negative(tree: PyTree) -> PyTree:
    """Return the nearest tree without negative entries, max(0, x).

    Args:
      tree: x, a tree of real arrays.

    Example:
      >>> print(gradtx.projections.projection_non_negative(jnp.array([-3.0, 0.5])))
      [0.  0.5]
    """
    return jax.tree.map(jax.nn.relu, tree)


def projection_box(tree: PyTree, lower: PyTree, upper: PyTree) -> PyTree:
    """Return the nearest tree between two bounds.

        argmin ‖x - y‖²  over  l ≤ y ≤ u        y = min(max(x, l), u)

    Args:
      tree: x.
      lower: l, one number, or a tree that is the beginning of ``tree``; every leaf
        must broadcast to those below it.
      upper: u, in the same way. Where it is less than l, y is u.

    Raises:
      ValueError: if a bound does not match the tree; the leaf is named.

    Example:
      >>> print(gradtx.projections.projection_box(jnp.array([-1.0, 3.0]), 0.0, 2.0))
      [0. 2.]
    """
    return _clip("projection_box", tree, lower, upper)


def projection_hypercube(tree: PyTree, scale: PyTree = 1) -> PyTree:
    """Return the nearest tree with entries from 0 to ``scale``.

    Args:
      tree: x.
      scale: the upper bound, one number or a tree, as in :func:`projection_box`.

    Raises:
      ValueError: if the scale does not match the tree; the leaf is named.

    Example:
      >>> print(gradtx.projections.projection_hypercube(jnp.array([-1.0, 3.0])))
      [0. 1.]
    """
    return _clip("projection_hypercube", tree, 0, scale)


def projection_linf_ball(tree: PyTree, scale: Scalar = 1) -> PyTree:
    """Return the nearest tree whose entries have moduli of at most ``scale``.

        argmin ‖x - y‖²  over  max |y| ≤ s

    Args:
      tree: x.
      scale: s ≥ 0.

    Raises:
      ValueError: if the scale is negative.

    Example:
      >>> print(gradtx.projections.projection_linf_ball(jnp.array([-3.0, 0.5])))
      [-1.   0.5]
    """
    checks.non_negative(scale=scale)
    return _clip("projection_linf_ball", tree, -jnp.asarray(scale), scale)


def _clip(name: str, tree: PyTree, lower: PyTree, upper: PyTree) -> PyTree:
    def clip(path: Any, x: Any, low: Any, high: Any) -> jax.Array:
        x, low, high = jnp.asarray(x), jnp.asarray(low), jnp.asarray(high)
        floating = jnp.issubdtype(x.dtype, jnp.floating)
        try:
            low, high = (jnp.broadcast_to(b, x.shape) for b in (low, high))
        except ValueError as error:
            raise checks.InvalidArgument(
                f"{name}: bounds of shapes {low.shape} and {high.shape} do not "
                f"broadcast to the leaf at {checks.path_name(path)} of shape {x.shape}"
            ) from error
        if floating:
            low, high = low.astype(x.dtype), high.astype(x.dtype)
        return jnp.minimum(jnp.maximum(x, low), high)

    try:
        lower, upper = (jax.tree.broadcast(bound, tree) for bound in (lower, upper))
    except ValueError as error:
        raise checks.InvalidArgument(
            f"{name}: a bound does not match the tree. {error}"
        ) from error
    return jax.tree_util.tree_map_with_path(clip, tree, lower, upper)
