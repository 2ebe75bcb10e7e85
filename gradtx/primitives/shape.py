"""Factors that depend on the shape of a matrix."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Fixed, OptState, Params, PyTree, Scalar, Updates
from gradtx.core.leafwise import flatten_updates, widened
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.linalg import axes
from gradtx.tree.packed import unpacked_only


class MuonDimensionNumbers(NamedTuple):
    """Which axes of a parameter reduce the input, and which make the output.

    All axes of a kind together are one axis of a matrix; those of neither kind count
    matrices that are treated apart. Most often y = x W, with W of shape (in, out).
    """

    reduction_axis: Sequence[int] | int = 0
    output_axis: Sequence[int] | int = 1


@transformation
def scale_by_shape(
    weight_dimension_numbers: Fixed = None, consistent_rms: Scalar | None = None
) -> GradientTransformation:
    """Scale the updates of matrices of shape (in, out) as suits their shape.

        u √max(1, out / in)
        u r √max(in, out)                     with ``consistent_rms`` r

    Args:
      weight_dimension_numbers: as :func:`gradtx.scale_by_muon` takes them.
      consistent_rms: r, about the root mean square of the entries of the new u if u is
        orthogonal; 0.2 is that of AdamW's.

    Raises:
      ValueError: if r is negative.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Liu et al., 2025, https://arxiv.org/abs/2502.16982 (``consistent_rms``)
    """
    checks.non_negative(consistent_rms=consistent_rms)

    def scaled(path: Any, u: Any, which: Any) -> Any:
        if u is None or which is None:
            return u
        _, rows, columns = axes.matrix_shape(jnp.shape(u), which, path)
        if consistent_rms is None:
            factor: Any = math.sqrt(max(1, columns / max(rows, 1)))
        else:
            factor = math.sqrt(max(rows, columns)) * consistent_rms
        return (factor * widened(u)).astype(u.dtype)

    def init(params: Params) -> EmptyState:
        unpacked_only(params)
        return EmptyState()

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        del params
        leaves, treedef = flatten_updates(updates)
        numbers = numbers_of_leaves(weight_dimension_numbers, updates)
        new = [scaled(*leaf, n) for leaf, n in zip(leaves, numbers, strict=True)]
        return treedef.unflatten(new), state

    return GradientTransformation(init, update)


def numbers_of_leaves(given: Any, tree: PyTree) -> list[Any]:
    """Return the dimension numbers of every leaf; all are matrices by default."""
    found = axes.resolve_dimension_numbers(
        given, tree, lambda _: MuonDimensionNumbers()
    )
    return axes.listed_dimension_numbers(found)
