"""Arithmetic of trees, leaf by leaf."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree, Scalar


def add(tree_x: PyTree, tree_y: PyTree, *other_trees: PyTree) -> PyTree:
    """Return the sum of two or more trees of one structure.

    Args:
      tree_x: the first tree, of arrays or numbers.
      tree_y: the second, of the same structure; leaves broadcast with each other.
      *other_trees: more of them.

    Example:
      >>> print(gradtx.tree.add({"a": 1}, {"a": 2}, {"a": 3}))
      {'a': 6}
    """
    return jax.tree.map(_sum_of, tree_x, tree_y, *other_trees)


def _sum_of(*leaves: Any) -> Any:
    return functools.reduce(operator.add, leaves)


def sub(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """Return x - y for trees of one structure.

    Args:
      tree_x: x, a tree of arrays or numbers.
      tree_y: y, of the same structure; its leaves must broadcast with those of x.

    Example:
      >>> print(gradtx.tree.sub({"a": 6.0}, {"a": 2.0}))
      {'a': 4.0}
    """
    return jax.tree.map(operator.sub, tree_x, tree_y)


def mul(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """Return x · y, entry by entry, for trees of one structure.

    Args:
      tree_x: x, a tree of arrays or numbers.
      tree_y: y, of the same structure; its leaves must broadcast with those of x.

    Example:
      >>> print(gradtx.tree.mul({"a": 6.0}, {"a": 2.0}))
      {'a': 12.0}
    """
    return jax.tree.map(operator.mul, tree_x, tree_y)


def div(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """Return x / y, entry by entry, for trees of one structure.

    Args:
      tree_x: x, a tree of arrays or numbers.
      tree_y: y, of the same structure; its leaves must broadcast with those of x.

    Example:
      >>> print(gradtx.tree.div({"a": 6.0}, {"a": 2.0}))
      {'a': 3.0}
    """
    return jax.tree.map(operator.truediv, tree_x, tree_y)


def scale(scalar: Scalar, tree: PyTree) -> PyTree:
    """Return scalar · x for every leaf x.

    Args:
      scalar: the factor, one number; may be traced.
      tree: a tree of arrays or numbers.

    Example:
      >>> print(gradtx.tree.scale(10, {"a": 2}))
      {'a': 20}
    """
    return jax.tree.map(lambda x: scalar * x, tree)


def add_scale(tree_x: PyTree, scalar: Scalar, tree_y: PyTree) -> PyTree:
    """Return x + scalar · y for trees of one structure; None where x has None.

    Args:
      tree_x: x, a tree of arrays, numbers and None.
      scalar: the factor, one number; may be traced.
      tree_y: y, of the same structure; what it has where x has None does not count.

    Example:
      >>> print(gradtx.tree.add_scale({"a": 1}, 10, {"a": 2}))
      {'a': 21}
    """
    return jax.tree.map(
        lambda x, y: None if x is None else x + scalar * y,
        tree_x,
        tree_y,
        is_leaf=checks.is_none,
    )


def where(condition: Any, tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """Return the leaves of x where the condition holds, and those of y elsewhere.

    Args:
      condition: a boolean, or an array of them that fits every leaf; may be traced.
      tree_x: what is taken where it is true.
      tree_y: what is taken where it is false, of the same structure.

    Example:
      >>> print(gradtx.tree.where(True, {"a": 1.0}, {"a": 2.0})["a"])
      1.0
    """
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def clip(
    tree: PyTree, min_value: Scalar | None = None, max_value: Scalar | None = None
) -> PyTree:
    """Keep every entry within two bounds; None is no bound.

    Args:
      tree: a tree of real arrays or numbers.
      min_value: the lower bound, one number; None for none.
      max_value: the upper bound, in the same way. Where it is less than the lower one,
        it is what entries become.

    Example:
      >>> print(gradtx.tree.clip({"a": jnp.array([-2.0, 5.0])}, 0.0, 1.0)["a"])
      [0. 1.]
    """
    return jax.tree.map(lambda x: jnp.clip(x, min_value, max_value), tree)


def conj(tree: PyTree) -> PyTree:
    """Return the complex conjugate of every leaf.

    Args:
      tree: a tree of arrays or numbers; a real leaf stays as it is.

    Example:
      >>> print(gradtx.tree.conj({"a": jnp.array(1 + 2j)})["a"])
      (1-2j)
    """
    return jax.tree.map(jnp.conj, tree)


def real(tree: PyTree) -> PyTree:
    """Return the real part of every leaf.

    Args:
      tree: a tree of arrays or numbers; a real leaf stays as it is.

    Example:
      >>> print(gradtx.tree.real({"a": jnp.array(1 + 2j)})["a"])
      1.0
    """
    return jax.tree.map(jnp.real, tree)
