"""Arithmetic of trees, leaf by leaf."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree, Scalar


def add(tree_x: PyTree, tree_y: PyTree, *other_trees: PyTree) -> PyTree:
    """Return the sum of two or more trees of one structure."""
    return jax.tree.map(_sum_of, tree_x, tree_y, *other_trees)


def _sum_of(*leaves: Any) -> Any:
    return functools.reduce(operator.add, leaves)


def sub(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """Return x - y for trees of one structure."""
    return jax.tree.map(operator.sub, tree_x, tree_y)


def mul(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """Return x · y, entry by entry, for trees of one structure."""
    return jax.tree.map(operator.mul, tree_x, tree_y)


def div(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """Return x / y, entry by entry, for trees of one structure."""
    return jax.tree.map(operator.truediv, tree_x, tree_y)


def scale(scalar: Scalar, tree: PyTree) -> PyTree:
    """Return scalar · x for every leaf x."""
    return jax.tree.map(lambda x: scalar * x, tree)


def add_scale(tree_x: PyTree, scalar: Scalar, tree_y: PyTree) -> PyTree:
    """Return x + scalar · y for trees of one structure; None where x has None."""
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
    """
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def clip(
    tree: PyTree, min_value: Scalar | None = None, max_value: Scalar | None = None
) -> PyTree:
    """Keep every entry within two bounds; None is no bound."""
    return jax.tree.map(lambda x: jnp.clip(x, min_value, max_value), tree)


def conj(tree: PyTree) -> PyTree:
    """Return the complex conjugate of every leaf."""
    return jax.tree.map(jnp.conj, tree)


def real(tree: PyTree) -> PyTree:
    """Return the real part of every leaf."""
    return jax.tree.map(jnp.real, tree)
