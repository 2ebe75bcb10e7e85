"""Matrices of one shape, from any leaves of a tree, computed with as one batch."""

from collections.abc import Callable
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.types import AxisName
from gradtx.linalg import axes
from gradtx.linalg.heads import block_columns, cut, joined
from gradtx.lowering.fusion import in_turn
from gradtx.lowering.shares import in_split
from gradtx.lowering.stacking import end_to_end, in_shares, stacks_with
from gradtx.lowering.varying_matrices import warn_of_shards


def in_stacks(
    leaves: list[tuple[Any, Any]],
    numbers: list[Any],
    function: Callable[..., Any],
    *others: list[Any],
    one_by_one: bool = False,
    split: AxisName = None,
) -> list[Any]:
    """Apply a function of batches of matrices to all leaves, once for each shape.

    Args:
      leaves: paths and arrays; those that are None stay None.
      numbers: the dimension numbers of every leaf.
      function: from arrays of shape (b, m, n) to another, or to a tuple of them. It
        must treat every matrix apart: on a mesh of explicit axes a device has some.
      *others: more arrays of every leaf, of its shape but along the output axes, or
        with reduction axes of size 1. The function is given their matrices too, and
        then returns a tuple: results for the leaf and for these, in order, and perhaps
        more that are shaped as the leaf is.
      one_by_one: whether a stack waits for the results of the one before, as it must
        where the function decomposes, see :func:`gradtx.lowering.fusion.in_turn`.
      split: the axis, or axes, of the mesh over which every stack is shared out, see
        :func:`gradtx.lowering.shares.in_split`. None leaves it to the compiler, or to
        the layout where types tell it.

    Returns:
      What the function returned, for every leaf.

    Raises:
      ValueError: if a leaf is no matrix; the path is named.
    """
    warn_of_shards(leaves)
    blocks = [
        _blocks_of(*leaf, which, [column[i] for column in others], split)
        for i, (leaf, which) in enumerate(zip(leaves, numbers, strict=True))
    ]
    groups: dict[Any, list[Any]] = {}
    for parts, _ in blocks:
        for part in parts:
            groups.setdefault(_key(part, split), []).append(part)
    results: dict[Any, Any] = {}
    before: Any = ()
    for key, group in groups.items():
        parts = _of_group(group, function, before if one_by_one else (), split)
        results[key], before = iter(parts), parts
    done = []
    for parts, back in blocks:
        done.append(back([next(results[_key(part, split)]) for part in parts]))
    return done


def _blocks_of(
    path: Any, x: Any, which: Any, others: list[Any], split: AxisName
) -> tuple[Any, Any]:
    """Return the matrices of a leaf, cut into blocks, and the way back."""
    if x is None:
        return [], lambda _: None
    if which is None:
        where = checks.path_name(path)
        raise checks.InvalidArgument(f"no dimension numbers for the leaf at {where}")
    # Matrices that are cut, or computed with others, are whole on every device.
    columns = axes.matrix_shape(x.shape, which, path)[2]
    together = bool(others) and split is None
    whole = together or len(block_columns(columns, which)) > 1
    pairs = [axes.as_matrices(y, which, path, whole=whole) for y in (x, *others)]
    backs = [back for _, back in pairs]
    blocks = [cut(matrices, which, path) for matrices, _ in pairs]

    def undo(results: list[Any]) -> Any:
        if not isinstance(results[0], tuple):
            return backs[0](joined(results, which))
        ways = [*backs, *[backs[0]] * (len(results[0]) - len(backs))]
        return tuple(
            way(joined(list(parts), which))
            for way, parts in zip(ways, zip(*results, strict=True), strict=True)
        )

    return list(zip(*blocks, strict=True)), undo


def _key(part: tuple[jax.Array, ...], split: AxisName) -> Any:
    """Return what blocks have in common that go through one stack."""
    return tuple(
        (x.shape[1:], x.dtype, stacks_with(x) if split is None else None) for x in part
    )


def _of_group(
    group: list[Any], function: Callable[..., Any], before: Any, split: AxisName
) -> list[Any]:
    """Apply a function once to matrices of one shape, and split the results again."""
    stacks = [end_to_end(arrays) for arrays in zip(*group, strict=True)]
    # Without it XLA recomputes the stack for each of its readers.
    stacks = jax.lax.optimization_barrier(in_turn(stacks, before))
    if split is None and len(stacks) == 1:
        whole = in_shares(function, stacks[0])
    else:
        whole = in_split(function, split, tuple(stacks))
    parts, begin = [], 0
    for first, *_ in group:
        end = begin + len(first)
        parts.append(jax.tree.map(lambda y, b=begin, e=end: y[b:e], whole))
        begin = end
    return parts
