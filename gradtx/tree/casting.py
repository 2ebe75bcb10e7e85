"""The types of the leaves, and how they are changed."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import DTypeLike, PyTree


def cast(tree: PyTree, dtype: DTypeLike | None) -> PyTree:
    """Return the tree with all leaves of one type; as it is, if that is None.

    Args:
      tree: a tree of arrays or numbers.
      dtype: the type of all leaves; None leaves each in its own.

    Example:
      >>> print(gradtx.tree.cast({"a": jnp.zeros(3)}, jnp.bfloat16)["a"].dtype)
      bfloat16
    """
    if dtype is None:
        return tree
    return jax.tree.map(lambda x: jnp.asarray(x).astype(dtype), tree)


def cast_like(tree: PyTree, other_tree: PyTree) -> PyTree:
    """Return the tree with every leaf in the type of another tree's leaf.

    Args:
      tree: the tree to cast.
      other_tree: a tree of the same structure; where its leaf has no type, the leaf
        stays as it is.

    Example:
      >>> half = {"a": jnp.zeros(3, jnp.bfloat16)}
      >>> print(gradtx.tree.cast_like({"a": jnp.zeros(3)}, half)["a"].dtype)
      bfloat16
    """

    def one(x: Any, other: Any) -> Any:
        if not hasattr(other, "dtype"):
            return x
        return jnp.asarray(x).astype(other.dtype)

    return jax.tree.map(one, tree, other_tree)


def dtype(tree: PyTree, mixed_dtype_handler: str | None = None) -> Any:
    """Return the type of the leaves; JAX's float type for an empty tree.

    Args:
      tree: a tree of arrays.
      mixed_dtype_handler: what to do about leaves of several types: None refuses them,
        "promote" returns the type they are promoted to, "highest" and "lowest" the one
        among them that all others are, or that is, promoted to.

    Raises:
      ValueError: for leaves of several types without a handler, and for two types of
        which neither is promoted to the other with "highest" or "lowest".

    Example:
      >>> print(gradtx.tree.dtype({"a": jnp.zeros(3), "b": jnp.zeros(1)}))
      float32
    """
    found = {
        path: jnp.asarray(x).dtype
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }
    choose = _chooser(mixed_dtype_handler)
    if not found:
        return jnp.zeros(()).dtype
    if choose is None:
        return _common(found)
    return functools.reduce(choose, found.values())


def _chooser(handler: str | None) -> Any:
    choosers = {
        None: None,
        "promote": jnp.promote_types,
        "highest": lambda a, b: _ordered(a, b)[1],
        "lowest": lambda a, b: _ordered(a, b)[0],
    }
    if handler not in choosers:
        raise checks.InvalidArgument(
            "mixed_dtype_handler must be None, 'promote', 'highest' or 'lowest', got "
            f"{handler!r}"
        )
    return choosers[handler]


def _common(found: dict[Any, Any]) -> Any:
    """Return the one type of all leaves."""
    (first, expected), *rest = found.items()
    for path, other in rest:
        if other != expected:
            raise checks.InvalidArgument(
                f"the leaf at {checks.path_name(path)} is of type {other}, but the one "
                f"at {checks.path_name(first)} is of type {expected}: say how to "
                "choose by mixed_dtype_handler"
            )
    return expected


def _ordered(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the lower and the higher of two types."""
    promoted = jnp.promote_types(a, b)
    if promoted == b:
        return a, b
    if promoted == a:
        return b, a
    raise checks.InvalidArgument(
        f"neither of the types {a} and {b} is promoted to the other, so that neither "
        "is the higher one"
    )
