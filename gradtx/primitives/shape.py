"""Factors that depend on the shape of a matrix."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import frozen_update
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import OptState, Params, PyTree, Scalar, Static, Updates
from gradtx.core.leafwise import flatten_updates, to_compute_dtype
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.linalg import axes
from gradtx.linalg.heads import block_columns
from gradtx.tree.packed import unpacked_only


class MuonDimensionNumbers(NamedTuple):
    """Which axes of a parameter reduce the input, and which make the output.

    All axes of a kind together are one axis of a matrix; those of neither kind count
    matrices that are treated apart. Most often y = x W, with W of shape (in, out).

    Example:
      >>> axes = gradtx.MuonDimensionNumbers(reduction_axis=0, output_axis=(1, 2))
      >>> tx = gradtx.scale_by_muon(weight_dimension_numbers=axes)
      >>> params = jnp.ones((4, 2, 3))  # a matrix of (4, 6)
      >>> updates, _ = tx.update(params, tx.init(params), params)
      >>> updates.shape
      (4, 2, 3)
    """

    reduction_axis: Sequence[int] | int = 0
    output_axis: Sequence[int] | int = 1


def _keller(rows: int, columns: int) -> float:
    return math.sqrt(max(1, columns / max(rows, 1)))


def _spectral(rows: int, columns: int) -> float:
    return math.sqrt(columns / max(rows, 1))


def _moonlight(rows: int, columns: int) -> float:
    return 0.2 * math.sqrt(max(rows, columns))


FACTORS: dict[str, Callable[[int, int], float]] = {
    "keller": _keller,
    "original": _keller,
    "spectral": _spectral,
    "moonlight": _moonlight,
    "rms_norm": _moonlight,
    "match_rms_adamw": _moonlight,
    "none": lambda rows, columns: 1.0,  # noqa: ARG005
}


@transformation
def scale_by_shape(
    weight_dimension_numbers: Static = None,
    consistent_rms: Scalar | None = None,
    *,
    shape_factor: str = "keller",
) -> GradientTransformation:
    """Scale the updates of matrices of shape (in, out) as suits their shape.

        u √max(1, out / in)                   "keller", also called "original"
        u √(out / in)                         "spectral"
        u 0.2 √max(in, out)                   "moonlight", "rms_norm", "match_rms_adamw"
        u                                     "none"
        u r √max(in, out)                     with ``consistent_rms`` r

    What the learning rate of an orthogonal u then means: with "spectral" how much the
    root mean square of the output may change for an input of 1, and with "keller" the
    same where there are more outputs than inputs; with "moonlight" what it means for
    AdamW, so that both can share the learning rate and the decay.

    Args:
      weight_dimension_numbers: as :func:`gradtx.scale_by_muon` takes them. Where a leaf
        holds matrices side by side, the factor is that of each.
      consistent_rms: r, about the root mean square of the entries of the new u if u is
        orthogonal; 0.2 is that of AdamW's.
      shape_factor: one of the names above.

    Raises:
      ValueError: if r is negative or the name not known; if both are given.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Yang et al., 2023, https://arxiv.org/abs/2310.17813 ("spectral");
      Liu et al., 2025, https://arxiv.org/abs/2502.16982 ("moonlight")

    Example:
      >>> tx, params = gradtx.scale_by_shape(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 2.  1.]
       [ 0. -1.]]
    """
    checks.non_negative(consistent_rms=consistent_rms)
    factor = known_factor(shape_factor, consistent_rms)

    def scaled(path: Any, u: Any, which: Any) -> Any:
        if not is_differentiable(u):
            return frozen_update(u)
        if which is None:
            return u
        return (factors_of(u.shape, which, path, factor) * to_compute_dtype(u)).astype(
            u.dtype
        )

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


def known_factor(name: str, rms: Scalar | None = None) -> Callable[[int, int], Any]:
    """Return the factor of :func:`scale_by_shape`, a function of (in, out).

    Args:
      name: one of :data:`FACTORS`.
      rms: r, if given.

    Raises:
      ValueError: if the name is not known, or both are given.
    """
    if name not in FACTORS:
        raise checks.InvalidArgument(
            f"shape_factor must be one of {', '.join(FACTORS)}, got {name!r}"
        )
    if rms is None:
        return FACTORS[name]
    if name != "keller":
        raise checks.InvalidArgument(
            f"consistent_rms is a factor itself: give it or shape_factor={name!r}"
        )
    return lambda rows, columns: math.sqrt(max(rows, columns)) * rms


def factors_of(
    shape: tuple[int, ...], numbers: Any, path: Any, factor: Callable[[int, int], Any]
) -> Any:
    """Return the factor of a leaf, or one for every column that fits its shape.

    Args:
      shape: of the leaf.
      numbers: its dimension numbers.
      path: where it is.
      factor: from the rows and the columns of a matrix to its factor.
    """
    _, rows, columns = axes.matrix_shape(shape, numbers, path)
    sizes = block_columns(columns, numbers)
    if len(set(sizes)) <= 1:
        return factor(rows, sizes[0])
    row = jnp.concatenate([jnp.full(size, factor(rows, size)) for size in sizes])
    return axes.along_output(row, shape, numbers, path)


def numbers_of_leaves(given: Any, tree: PyTree) -> list[Any]:
    """Return the dimension numbers of every leaf; all are matrices by default."""
    found = axes.resolve_dimension_numbers(
        given, tree, lambda _: MuonDimensionNumbers()
    )
    return axes.listed_dimension_numbers(found)
