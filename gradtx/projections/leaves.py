"""What projections ask of their trees: types, shapes, and one long vector."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import checks, numerics
from gradtx.common.types import PyTree


def floats(tree: PyTree) -> PyTree:
    """Return the tree with every leaf an array of floating-point or complex numbers."""

    def convert(leaf: Any) -> jax.Array:
        leaf = jnp.asarray(leaf)
        inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return leaf if inexact else leaf.astype(jnp.result_type(float))

    return jax.tree.map(convert, tree)


def reals(name: str, tree: PyTree) -> PyTree:
    """Return :func:`floats` of the tree, refusing complex leaves."""
    tree = floats(tree)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.iscomplexobj(leaf):
            raise TypeError(
                f"{name}: the leaf at {checks.path_name(path)} must be real, got "
                f"{leaf.dtype}"
            )
    return tree


def widen(tree: PyTree) -> PyTree:
    """Return the tree with half-precision leaves in float32."""
    return jax.tree.map(
        lambda leaf: leaf.astype(numerics.compute_dtype(leaf.dtype)), tree
    )


def narrow(tree: PyTree, like: PyTree) -> PyTree:
    """Return the tree with every leaf in the type of the same leaf of ``like``."""
    return jax.tree.map(lambda leaf, x: leaf.astype(x.dtype), tree, like)


def matched(name: str, what: str, other: PyTree, tree: PyTree) -> PyTree:
    """Return :func:`floats` of ``other``, refusing what does not match ``tree``."""
    treedef = jax.tree.structure(tree)
    leaves = checks.leaves_like(other, treedef, what, f"{name}'s x")
    other = floats(treedef.unflatten(leaves))
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(other), strict=True
    )
    for (path, x), leaf in pairs:
        checks.same_shape(leaf.shape, x.shape, path, what, f"{name}'s x")
    return other


def as_vector(tree: PyTree) -> tuple[jax.Array, Callable[[jax.Array], PyTree]]:
    """Return all entries in one vector, in float32 or wider, and the way back."""
    leaves, treedef = jax.tree.flatten(tree)
    if not leaves:
        return jnp.zeros(0), lambda _: tree
    with jax.numpy_dtype_promotion("standard"):
        dtype = numerics.compute_dtype(jnp.result_type(*leaves))
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def back(vector: jax.Array) -> PyTree:
        parts = jnp.split(vector, ends)
        return treedef.unflatten(
            part.reshape(leaf.shape).astype(leaf.dtype)
            for part, leaf in zip(parts, leaves, strict=True)
        )

    return jnp.concatenate([leaf.ravel().astype(dtype) for leaf in leaves]), back


def total(numbers: list[jax.Array]) -> jax.Array:
    """Return the sum of some numbers, 0 of none, in the widest of their types."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.asarray(sum(numbers, 0.0))


def times(factor: jax.Array, tree: PyTree) -> PyTree:
    """Return the tree times a number, every leaf in its type."""
    return jax.tree.map(lambda leaf: factor.astype(leaf.dtype) * leaf, tree)


def scaled(tree: PyTree) -> tuple[PyTree, jax.Array]:
    """Return the tree divided by its largest modulus, and that.

    So it can be squared without overflow. Where nothing can be divided by the largest
    modulus, 1 stands for it; it takes no part in gradients, since what is divided by
    it is multiplied again.
    """
    size = jnp.asarray(0.0)
    with jax.numpy_dtype_promotion("standard"):
        for leaf in jax.tree.leaves(tree):
            size = jnp.maximum(size, jnp.max(jnp.abs(leaf), initial=0))
    usable = (size > 0) & jnp.isfinite(size)
    size = jax.lax.stop_gradient(jnp.where(usable, size, 1))
    return jax.tree.map(lambda leaf: leaf / size.astype(leaf.dtype), tree), size
