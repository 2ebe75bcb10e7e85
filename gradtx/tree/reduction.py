"""One number from all entries of a tree, summed in float32 or wider.

Leaves that are no numbers, such as random keys and functions, do not count.
"""

import builtins
import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.leaves import is_numeric, numeric
from gradtx.common.types import AxisName, PyTree, Scalar
from gradtx.lowering import collective


def sum(  # noqa: A001
    tree: PyTree, associative_reduction: bool = False, axis_name: AxisName = None
) -> Any:
    """Return the sum of all numbers; 0 for an empty tree.

    Half-precision leaves are summed in float32, all others in their own precision.

    Args:
      tree: a tree of arrays.
      associative_reduction: whether the sums of the leaves are added up in pairs, which
        compiles faster for very many leaves. The last bits may differ.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over whose
        devices leaves that vary along it are summed, as :func:`norm` takes it. None:
        what this device holds.

    Raises:
      ValueError: for an axis that is not there.

    Example:
      >>> print(gradtx.tree.sum({"a": jnp.array([3.0, 4.0]), "b": jnp.zeros(1)}))
      7.0
    """
    sums = [jnp.sum(_widened(x)) for x in numeric(tree)]
    sums = collective.sums_of_groups(sums, axis_name)
    if associative_reduction:
        return jax.tree.reduce_associative(operator.add, sums, identity=0)
    return builtins.sum(sums)


def vdot(tree_x: PyTree, tree_y: PyTree, axis_name: AxisName = None) -> Any:
    """Return the inner product Σ x̄ᵢ yᵢ of two trees; 0 for empty ones.

    Half-precision leaves are multiplied and summed in float32.

    Args:
      tree_x: x, a tree of arrays; of complex ones the conjugate is taken.
      tree_y: y, a tree of the same structure and of the same shapes.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over whose
        devices leaves that vary along it are summed, as :func:`norm` takes it. None:
        what this device holds.

    Raises:
      ValueError: if the trees or the shapes of two leaves differ; the path is named;
        for an axis that is not there.

    Example:
      >>> print(gradtx.tree.vdot({"a": jnp.ones(3)}, {"a": jnp.ones(3)}))
      3.0
    """
    paths, treedef = jax.tree_util.tree_flatten_with_path(tree_x)
    others = checks.leaves_like(tree_y, treedef, "the second tree", "the first")
    products = []
    for (path, x), y in zip(paths, others, strict=True):
        if not (is_numeric(x) and is_numeric(y)):
            continue
        checks.same_shape(
            jnp.shape(y), jnp.shape(x), path, "the second tree", "the first"
        )
        products.append(_inner(_widened(x), _widened(y)))
    return builtins.sum(collective.sums_of_groups(products, axis_name))


def _inner(x: jax.Array, y: jax.Array) -> jax.Array:
    mesh = jax.typeof(x).sharding.mesh
    if not mesh.empty and mesh.are_all_axes_explicit:
        return jnp.sum(jnp.conj(x) * y)
    precision = jax.lax.Precision.HIGHEST
    if x.ndim < 2:  # noqa: PLR2004
        return jnp.vdot(x, y, precision=precision)
    # Over all axes at once: flattened, an array would leave its devices.
    return jnp.tensordot(jnp.conj(x), y, x.ndim, precision=precision)


def max(tree: PyTree) -> Any:  # noqa: A001
    """Return the largest number; -∞ for a tree without any.

    Args:
      tree: a tree of real arrays or numbers; empty leaves do not count.

    Example:
      >>> print(gradtx.tree.max({"a": jnp.array([3.0, 4.0]), "b": jnp.zeros(1)}))
      4.0
    """
    return _extreme(tree, jnp.max, jnp.maximum, -jnp.inf)


def min(tree: PyTree) -> Any:  # noqa: A001
    """Return the smallest number; ∞ for a tree without any.

    Args:
      tree: a tree of real arrays or numbers; empty leaves do not count.

    Example:
      >>> print(gradtx.tree.min({"a": jnp.array([3.0, 4.0]), "b": jnp.zeros(1)}))
      0.0
    """
    return _extreme(tree, jnp.min, jnp.minimum, jnp.inf)


def _extreme(
    tree: PyTree, of_leaf: Callable[..., Any], of_two: Callable[..., Any], start: float
) -> Any:
    found = [of_leaf(x) for x in numeric(tree) if jnp.size(x)]
    return functools.reduce(of_two, found, start)


def size(tree: PyTree) -> int:
    """Return how many numbers there are in all leaves together.

    Args:
      tree: a tree of arrays, of numbers or of their shapes.

    Example:
      >>> print(gradtx.tree.size({"a": jnp.array([3.0, 4.0]), "b": jnp.zeros(1)}))
      3
    """
    return builtins.sum(jnp.size(x) for x in numeric(tree))


def allclose(
    a: PyTree,
    b: PyTree,
    rtol: Scalar = 1e-05,
    atol: Scalar = 1e-08,
    equal_nan: bool = False,
) -> Any:
    """Whether all entries of two trees are close: |a - b| ≤ atol + rtol · |b|.

    Args:
      a: a tree of arrays.
      b: a tree of the same structure.
      rtol: the tolerance relative to ``b``.
      atol: the absolute tolerance.
      equal_nan: whether NaN is close to NaN.

    Example:
      >>> print(gradtx.tree.allclose({"a": jnp.ones(2)}, {"a": jnp.ones(2) + 1e-7}))
      True
    """

    def one(x: Any, y: Any) -> Any:
        if not (is_numeric(x) and is_numeric(y)):
            return True
        return jnp.allclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)

    close = jax.tree.map(one, a, b)
    return functools.reduce(operator.and_, jax.tree.leaves(close), True)  # noqa: FBT003


def _widened(x: Any) -> jax.Array:
    x = jnp.asarray(x)
    return x.astype(numerics.compute_dtype(x.dtype))
