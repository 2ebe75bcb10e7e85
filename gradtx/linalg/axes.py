"""Which axes of an array make up a matrix."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.lowering.sharding import laid_out
from gradtx.lowering.stacking import in_shares, mergeable, specs_of, stacks_with
from gradtx.tree import masks
from gradtx.tree.params import is_placeholder

Axes = int | Sequence[int]
Back = Callable[[jax.Array], jax.Array]


def is_dimension_numbers(x: Any) -> bool:
    """Whether ``x`` says which axes reduce and which are put out."""
    return hasattr(x, "reduction_axis") and hasattr(x, "output_axis")


def is_whole(x: Any) -> bool:
    """Whether a tree of dimension numbers is not looked into here."""
    return x is None or is_dimension_numbers(x) or masks.is_masked(x)


def resolve_dimension_numbers(numbers: Any, tree: PyTree, default: Any) -> PyTree:
    """Return a tree with dimension numbers, or None, for every leaf.

    Args:
      numbers: a tree of them with the structure of ``tree`` or a prefix of it, or a
        function that makes one from ``tree``; None where a leaf is no matrix. None
        alone stands for ``default(x)`` at every leaf x.
      tree: the parameters or updates.
      default: from a leaf to its numbers.

    Raises:
      ValueError: if the structures do not fit.
    """
    if is_placeholder(tree):
        return tree
    if numbers is None:
        return jax.tree.map(
            lambda x: None if x is None else default(x), tree, is_leaf=checks.is_none
        )
    if masks.is_function(numbers) and not is_dimension_numbers(numbers):
        numbers = numbers(tree)
    found, treedef = jax.tree.flatten(numbers, is_leaf=is_whole)
    parts = checks.leaves_like(tree, treedef, "the updates", "the dimension numbers")
    spread = [
        jax.tree.map(lambda _, n=n: n, part, is_leaf=checks.is_none)
        for n, part in zip(found, parts, strict=True)
    ]
    return treedef.unflatten(spread)


def listed_dimension_numbers(numbers: PyTree) -> list[Any]:
    """Return what :func:`resolve_dimension_numbers` found, leaf by leaf."""
    return [
        x for x in jax.tree.leaves(numbers, is_leaf=is_whole) if not masks.is_masked(x)
    ]


def matrix_shape(shape: tuple[int, ...], numbers: Any, path: Any) -> tuple[int, ...]:
    """Return how many matrices there are, their rows, and their columns."""
    groups = _axes(shape, numbers, path)
    batch, rows, columns = (math.prod(shape[i] for i in axes) for axes in groups)
    return batch, rows, columns


def as_matrices(
    x: jax.Array, numbers: Any, path: Any, *, whole: bool = True
) -> tuple[jax.Array, Back]:
    """Return x as a batch of matrices, and the function that undoes it.

    On a mesh that is part of the array's type the matrices lie on every device, unless
    ``whole`` is False: then they stay sharded as they are, as far as that can be.

    Raises:
      ValueError: if x has no such axes; the path is named.
    """
    groups = _axes(x.shape, numbers, path)
    order = sum(groups, ())
    flat = matrix_shape(x.shape, numbers, path)
    back = sorted(range(x.ndim), key=order.__getitem__)
    spread = tuple(x.shape[i] for i in order)
    spec = jax.typeof(x).sharding.spec

    x = laid_out(x, ()) if whole else mergeable(x, groups)
    merged, apart = specs_of(x, groups)

    def undo(y: jax.Array) -> jax.Array:
        y = jnp.reshape(y, spread, out_sharding=apart)
        return laid_out(y.transpose(back), spec)

    return jnp.reshape(x.transpose(order), flat, out_sharding=merged), undo


def _axes(
    shape: tuple[int, ...], numbers: Any, path: Any
) -> tuple[tuple[int, ...], ...]:
    """Return the axes of the batch, the rows and the columns."""
    rows, columns = numbers.reduction_axis, numbers.output_axis
    rows, columns = _positive(rows, shape, path), _positive(columns, shape, path)
    used = [*rows, *columns]
    if not rows or not columns or len(set(used)) < len(used):
        raise checks.Misuse(
            f"the axes {rows} and {columns} of the leaf at {checks.path_name(path)} "
            "must be different ones, and one at least of each"
        )
    batch = tuple(i for i in range(len(shape)) if i not in used)
    return batch, rows, columns


def _positive(axes: Axes, shape: tuple[int, ...], path: Any) -> tuple[int, ...]:
    ndim = len(shape)
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    if ndim < 2 or any(not -ndim <= i < ndim for i in axes):  # noqa: PLR2004
        raise checks.Misuse(
            f"the leaf at {checks.path_name(path)} of shape {shape} is no matrix along "
            f"the axes {axes}: give its dimension numbers, or another method"
        )
    return tuple(i % ndim for i in axes)


def in_stacks(
    leaves: list[tuple[Any, Any]],
    numbers: list[Any],
    function: Callable[[jax.Array], jax.Array],
) -> list[Any]:
    """Apply a function of a batch of matrices to all leaves, once for each shape.

    Args:
      leaves: paths and arrays; those that are None stay None.
      numbers: the dimension numbers of every leaf.
      function: from an array of shape (b, m, n) to another. It must treat every matrix
        apart: on a mesh of explicit axes each device is given some of them.

    Raises:
      ValueError: if a leaf is no matrix; the path is named.
    """
    done: list[Any] = [None] * len(leaves)
    groups: dict[Any, list[Any]] = {}
    for i, ((path, x), which) in enumerate(zip(leaves, numbers, strict=True)):
        if x is None:
            continue
        if which is None:
            raise checks.Misuse(
                f"no dimension numbers for the leaf at {checks.path_name(path)}"
            )
        matrices, back = as_matrices(x, which, path, whole=False)
        key = matrices.shape[1:], matrices.dtype, stacks_with(matrices)
        groups.setdefault(key, []).append((i, matrices, back))
    for group in groups.values():
        stack = jnp.concatenate([matrices for _, matrices, _ in group])
        # Else what reads the stack more than once is made anew of all leaves each time.
        whole = in_shares(function, jax.lax.optimization_barrier(stack))
        begin = 0
        for i, matrices, back in group:
            done[i] = back(whole[begin : begin + len(matrices)])
            begin += len(matrices)
    return done
