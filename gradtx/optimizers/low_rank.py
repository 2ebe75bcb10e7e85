"""Matrices seen in few directions: which leaves, how, and where their state lies."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import ndim
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import PyTree
from gradtx.core.leafwise import flatten_updates
from gradtx.linalg import axes
from gradtx.lowering.packing import is_sharded
from gradtx.lowering.sharding import replicated_like, sharded_like


class GaLoreDimensionNumbers(NamedTuple):
    """Which axes of a parameter are the rows of a matrix, and which the columns.

    Several axes of a kind are taken together; every axis must be of one.

    Example:
      >>> axes = gradtx.GaLoreDimensionNumbers(reduction_axis=0, output_axis=(1, 2))
      >>> tx = gradtx.galore(0.1, rank=2, weight_dimension_numbers=axes)
      >>> tx.init(jnp.ones((4, 2, 3)))[0].projector.shape
      (6, 2)
    """

    reduction_axis: Sequence[int] | int = 0
    output_axis: Sequence[int] | int = 1


class LowRank(NamedTuple):
    """How one matrix is projected."""

    rows: int
    columns: int
    rank: int
    left: bool  # whether the rows become few, else the columns

    @property
    def projector(self) -> tuple[int, int]:
        """The shape of P."""
        return (self.rows if self.left else self.columns), self.rank

    @property
    def low(self) -> tuple[int, int]:
        """The shape of a matrix in few directions."""
        if self.left:
            return self.rank, self.columns
        return self.rows, self.rank


def numbers_of(given: Any, tree: PyTree) -> list[Any]:
    """Return the dimension numbers of every leaf, or None.

    Args:
      given: as :func:`gradtx.scale_by_galore` takes them.
      tree: the parameters or updates.
    """
    single = axes.is_dimension_numbers(given)

    def default(x: Any) -> Any:
        if single:
            return given if ndim(x) > 1 else None
        return GaLoreDimensionNumbers() if ndim(x) == 2 else None  # noqa: PLR2004

    found = axes.resolve_dimension_numbers(None if single else given, tree, default)
    return axes.listed_dimension_numbers(found)


def planned(
    path: Any,
    x: Any,
    numbers: Any,
    rank: int,
    left: Callable[[int, int], bool],
) -> LowRank | None:
    """Return how a leaf is projected; None if it is no matrix, or has no entries.

    Args:
      path: where the leaf is.
      x: the leaf, a parameter or a gradient.
      numbers: its dimension numbers.
      rank: how many directions are kept, at most.
      left: from how many rows and columns there are to whether the rows become few.

    Raises:
      ValueError: if an axis is neither of rows nor of columns.
    """
    if numbers is None or not is_differentiable(x) or 0 in jnp.shape(x):
        return None
    shape = jnp.shape(x)
    _, rows, columns = axes.matrix_shape(shape, numbers, path)
    if _left_over(shape, numbers):
        raise checks.InvalidArgument(
            f"every axis of the leaf at {checks.path_name(path)} of shape {shape} must "
            f"be one of rows or of columns, got {numbers}"
        )
    return LowRank(rows, columns, min(rank, rows, columns), left(rows, columns))


def _left_over(shape: tuple[int, ...], numbers: Any) -> bool:
    kinds = numbers.reduction_axis, numbers.output_axis
    return sum(1 if isinstance(k, int) else len(k) for k in kinds) != len(shape)


def zeros_along(
    p: Any, numbers: Any, shape: tuple[int, int], axis: int, *, rows: bool
) -> jax.Array:
    """Make zeros whose axis is sharded as a matrix's rows are, or else its columns.

    That is where the compiler leaves what it computes of a matrix on an automatic mesh.
    Made elsewhere, state would move in the first step, and the second be compiled anew.
    On an explicit mesh it is whole on every device, as the matrix is in an update.

    Args:
      p: the parameter.
      numbers: its dimension numbers.
      shape: of what is made, in the parameter's type.
      axis: which of its two axes is that of the matrix.
      rows: whether it is that of the rows.
    """
    made = jnp.zeros(shape, p.dtype)
    if isinstance(p, jax.ShapeDtypeStruct):
        return made
    if is_sharded(p):
        return replicated_like(p, made)
    matrices, _ = axes.as_matrices(jnp.asarray(p), numbers, ())
    sums = jnp.expand_dims(jnp.sum(matrices[0], axis=int(rows)), 1 - axis)
    return sharded_like(jnp.broadcast_to(sums, shape), made)


def all_planned(
    tree: PyTree, numbers: Any, rank: int, left: Callable[[int, int], bool]
) -> tuple[list[Any], Any]:
    """Return (path, leaf, its numbers, how it is projected) for every leaf.

    Args:
      tree: the parameters, or their updates.
      numbers: the dimension numbers, as :func:`numbers_of` takes them.
      rank: r, the directions kept.
      left: from the rows and columns of a matrix to whether its rows become few.

    Returns:
      The leaves, and the structure of the tree.
    """
    leaves, treedef = flatten_updates(tree)
    found = numbers_of(numbers, tree)
    plan = [
        (path, x, n, planned(path, x, n, rank, left))
        for (path, x), n in zip(leaves, found, strict=True)
    ]
    return plan, treedef
