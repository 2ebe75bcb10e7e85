"""Trees of the same structure with other entries."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.types import DTypeLike, PyTree, Scalar


def zeros_like(tree: PyTree, dtype: DTypeLike | None = None) -> PyTree:
    """Return zeros in the shapes of the leaves, and in their types unless one is given.

    Args:
      tree: a tree of arrays.
      dtype: the type of all new leaves.

    Example:
      >>> print(gradtx.tree.zeros_like({"a": jnp.ones(2)})["a"])
      [0. 0.]
    """
    return jax.tree.map(lambda x: jnp.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: PyTree, dtype: DTypeLike | None = None) -> PyTree:
    """Return ones in the shapes of the leaves, and in their types unless one is given.

    Args:
      tree: a tree of arrays.
      dtype: the type of all new leaves.

    Example:
      >>> print(gradtx.tree.ones_like({"a": jnp.zeros(2)})["a"])
      [1. 1.]
    """
    return jax.tree.map(lambda x: jnp.ones_like(x, dtype=dtype), tree)


def full_like(
    tree: PyTree, fill_value: Scalar, dtype: DTypeLike | None = None
) -> PyTree:
    """Return one value in the shapes of the leaves.

    Args:
      tree: a tree of arrays.
      fill_value: the value of every entry.
      dtype: the type of all new leaves; None keeps those of the old ones.

    Example:
      >>> print(gradtx.tree.full_like({"a": jnp.zeros(2)}, 7.0)["a"])
      [7. 7.]
    """
    return jax.tree.map(lambda x: jnp.full_like(x, fill_value, dtype=dtype), tree)


def batch_shape(tree: PyTree, shape: tuple[int, ...] = ()) -> PyTree:
    """Repeat every leaf along new leading axes.

    Args:
      tree: a tree of arrays.
      shape: the lengths of the new axes.

    Example:
      >>> print(gradtx.tree.batch_shape({"a": jnp.zeros(3)}, (5,))["a"].shape)
      (5, 3)
    """

    def repeated(x: Any) -> jax.Array:
        return jnp.broadcast_to(x, (*shape, *jnp.shape(x)))

    return jax.tree.map(repeated, tree)
