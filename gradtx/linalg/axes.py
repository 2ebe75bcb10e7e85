"""Which axes of an array make up a matrix."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.foreign import plain
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import PyTree
from gradtx.linalg.heads import block_columns, cut, joined
from gradtx.lowering.sharding import laid_out
from gradtx.lowering.stacking import mergeable, specs_of
from gradtx.tree import masks
from gradtx.tree.placeholders import is_placeholder

Axes = int | Sequence[int]
Back = Callable[[jax.Array], jax.Array]


@runtime_checkable
class DimensionNumbers(Protocol):
    """Which axes of an array reduce and which are put out, as any library says it."""

    reduction_axis: Axes
    output_axis: Axes


def is_dimension_numbers(x: Any) -> bool:
    """Whether ``x`` says which axes reduce and which are put out."""
    return isinstance(x, DimensionNumbers)


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
      ValueError: if the structures do not fit, or what is given, or the function
        returns, are no dimension numbers.
    """
    if is_placeholder(tree):
        return tree
    if numbers is None:
        return jax.tree.map(
            lambda x: default(x) if is_differentiable(x) else None, tree
        )
    if masks.is_function(numbers) and not is_dimension_numbers(numbers):
        numbers = numbers(tree)
    found, treedef = jax.tree.flatten(plain(numbers), is_leaf=is_whole)
    for x in found:
        if not is_whole(x):
            raise checks.InvalidArgument(
                f"dimension numbers have a reduction_axis and an output_axis, which "
                f"{type(x).__name__} has not: give None for what is no matrix, and "
                "gradtx.matrices(params), not gradtx.matrices itself"
            )
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


def on_every_device(x: jax.Array) -> tuple[jax.Array, Back]:
    """Return x whole on every device, and the function that lays results out like x.

    Only on a mesh that is part of the array's type; elsewhere both return what they
    are given.
    """
    spec = jax.typeof(x).sharding.spec
    return laid_out(x, ()), lambda y: laid_out(y, spec)


def output_axes(shape: tuple[int, ...], numbers: Any, path: Any) -> tuple[int, ...]:
    """Return the axes of the columns of a leaf's matrices."""
    return _axes(shape, numbers, path)[2]


def with_columns(
    shape: tuple[int, ...], numbers: Any, path: Any, rank: int
) -> tuple[int, ...]:
    """Return the shape of a leaf whose matrices have fewer columns.

    Args:
      shape: of the leaf.
      numbers: its dimension numbers.
      path: where it is.
      rank: how many columns each matrix has; at most its rows and its columns.
    """
    _, rows, columns = matrix_shape(shape, numbers, path)
    sizes = block_columns(columns, numbers)
    many = sum(min(rank, rows, size) for size in sizes)
    first, *others = _axes(shape, numbers, path)[2]
    kept = {first: many, **dict.fromkeys(others, 1)}
    return tuple(kept.get(i, n) for i, n in enumerate(shape))


def _axes(
    shape: tuple[int, ...], numbers: Any, path: Any
) -> tuple[tuple[int, ...], ...]:
    """Return the axes of the batch, the rows and the columns."""
    rows, columns = numbers.reduction_axis, numbers.output_axis
    rows, columns = _positive(rows, shape, path), _positive(columns, shape, path)
    used = [*rows, *columns]
    if not rows or not columns or len(set(used)) < len(used):
        raise checks.InvalidArgument(
            f"the axes {rows} and {columns} of the leaf at {checks.path_name(path)} "
            "must be different ones, and one at least of each"
        )
    batch = tuple(i for i in range(len(shape)) if i not in used)
    return batch, rows, columns


def _positive(axes: Axes, shape: tuple[int, ...], path: Any) -> tuple[int, ...]:
    ndim = len(shape)
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    if ndim < 2 or any(not -ndim <= i < ndim for i in axes):  # noqa: PLR2004
        raise checks.InvalidArgument(
            f"the leaf at {checks.path_name(path)} of shape {shape} is no matrix along "
            f"the axes {axes}: give its dimension numbers, or another method"
        )
    return tuple(i % ndim for i in axes)


def along_output(
    row: jax.Array, shape: tuple[int, ...], numbers: Any, path: Any
) -> jax.Array:
    """Return one number for each column of a matrix, shaped to be multiplied with it.

    Args:
      row: the numbers.
      shape: of the leaf that the matrix lies in.
      numbers: its dimension numbers.
      path: where it is.
    """
    _, _, output = _axes(shape, numbers, path)
    spread = row.reshape([shape[i] for i in output])
    order = sorted(range(len(output)), key=output.__getitem__)
    sizes = [n if i in output else 1 for i, n in enumerate(shape)]
    return spread.transpose(order).reshape(sizes)


def matrix_sums(
    columns: jax.Array, shape: tuple[int, ...], numbers: Any, path: Any
) -> jax.Array:
    """Return the sum over each matrix, in the place of every one of its columns.

    Args:
      columns: sums over the reduction axes, which stay with size 1.
      shape: of the leaf.
      numbers: its dimension numbers.
      path: where it is.
    """
    _axes(shape, numbers, path)
    rows, back = as_matrices(columns, numbers, path)

    def total(block: jax.Array) -> jax.Array:
        return jnp.broadcast_to(jnp.sum(block, axis=2, keepdims=True), block.shape)

    return back(joined([total(x) for x in cut(rows, numbers, path)], numbers))


def reduction_axes(shape: tuple[int, ...], numbers: Any, path: Any) -> tuple[int, ...]:
    """Return the axes of the rows of a leaf's matrices.

    Raises:
      ValueError: if the leaf is no matrix; the path is named.
    """
    if numbers is None:
        where = checks.path_name(path)
        raise checks.InvalidArgument(f"no dimension numbers for the leaf at {where}")
    return _axes(shape, numbers, path)[1]
