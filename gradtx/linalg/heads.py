"""Matrices that lie side by side in one parameter, such as heads."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks


class MatrixAxes(NamedTuple):
    """Which axes of a parameter make up its matrices, and how these are cut.

    All reduction axes together are the rows of a matrix, all output axes the columns:
    y = x W. Axes of neither kind count matrices that are treated apart. Wherever a
    :class:`MuonDimensionNumbers` may stand, this may.

    Args:
      reduction_axis: the axis, or axes, that the input is summed over.
      output_axis: the axis, or axes, of the output.
      window_axis: those of the reduction axes along which a convolution's window lies.
      heads: how many matrices of one size lie side by side along the output, such as
        the heads of a fused projection; each is treated apart.
      splits: how many columns each of several matrices side by side has, such as query,
        key and value of a fused projection; empty if there is one.

    Example:
      >>> axes = gradtx.MatrixAxes(reduction_axis=0, output_axis=1, heads=2)
      >>> tx = gradtx.scale_by_muon(weight_dimension_numbers=axes)
      >>> params = jnp.ones((4, 6))  # two matrices of (4, 3)
      >>> updates, _ = tx.update(params, tx.init(params), params)
      >>> updates.shape
      (4, 6)
    """

    reduction_axis: Sequence[int] | int = 0
    output_axis: Sequence[int] | int = 1
    window_axis: Sequence[int] | int = ()
    heads: int = 1
    splits: Sequence[int] = ()


def cut(matrices: jax.Array, numbers: Any, path: Any) -> list[jax.Array]:
    """Return the blocks of columns that are matrices of their own.

    Raises:
      ValueError: if the columns cannot be cut so; the path is named.
    """
    batch, rows, columns = matrices.shape
    check_columns(columns, numbers, path)
    heads, splits = _parts(numbers)
    if splits:
        ends = [sum(splits[: i + 1]) for i in range(len(splits) - 1)]
        return jnp.split(matrices, ends, axis=2)
    if heads == 1:
        return [matrices]
    apart = matrices.reshape(batch, rows, heads, columns // heads).swapaxes(1, 2)
    return [apart.reshape(batch * heads, rows, columns // heads)]


def check_columns(columns: int, numbers: Any, path: Any) -> None:
    """Refuse columns that cannot be cut as their numbers say; the path is named."""
    heads, splits = _parts(numbers)
    if (splits and sum(splits) != columns) or columns % heads:
        raise checks.InvalidArgument(
            f"the {columns} columns of the matrix at {checks.path_name(path)} cannot "
            f"be cut as {numbers} says"
        )


def joined(blocks: list[jax.Array], numbers: Any) -> jax.Array:
    """Undo :func:`cut`."""
    heads, splits = _parts(numbers)
    if splits:
        return jnp.concatenate(blocks, axis=2)
    if heads == 1:
        return blocks[0]
    count, rows, columns = blocks[0].shape
    apart = blocks[0].reshape(count // heads, heads, rows, columns).swapaxes(1, 2)
    return apart.reshape(count // heads, rows, heads * columns)


def block_columns(columns: int, numbers: Any) -> list[int]:
    """Return how many columns each of the matrices side by side has."""
    heads, splits = _parts(numbers)
    return list(splits) or [columns // heads] * heads


def _parts(numbers: Any) -> tuple[int, Sequence[int]]:
    return getattr(numbers, "heads", 1), tuple(getattr(numbers, "splits", ()))
