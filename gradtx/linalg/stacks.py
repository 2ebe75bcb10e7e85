"""Arrays of one shape in one stack, so that many of them cost what one does."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from gradtx.common.types import AxisName, PyTree
from gradtx.lowering.shares import in_split
from gradtx.lowering.stacking import end_to_end


def by_shape(
    function: Callable[..., PyTree],
    rows: Sequence[tuple[Any, ...]],
    split: AxisName = None,
) -> Any:
    """Apply a function to rows of arrays, once for all rows of the same shapes.

    One batched product, eigendecomposition or solve then does the work of many.

    Args:
      function: ``function(*row)`` takes trees of arrays that begin with a batch axis,
        and returns a tree of such arrays. It must treat the batch entry by entry.
      rows: tuples of trees of arrays. All arrays of a row begin with an axis of the
        same length; None is no array.
      split: the axis, or axes, of the mesh over which every stack is shared out, see
        :func:`gradtx.lowering.shares.in_split`.

    Returns:
      A list of what the function returns for each row.
    """
    groups: dict[Any, list[int]] = {}
    for i, row in enumerate(rows):
        leaves, treedef = jax.tree.flatten(row)
        key = treedef, tuple((x.shape[1:], x.dtype) for x in leaves)
        groups.setdefault(key, []).append(i)
    done: list[Any] = [None] * len(rows)
    for (_, shapes), members in groups.items():
        if len(members) == 1 or not shapes:  # there is nothing to lay end to end
            for i in members:
                done[i] = in_split(function, split, rows[i])
            continue
        lengths = [len(jax.tree.leaves(rows[i])[0]) for i in members]
        stack = jax.tree.map(
            lambda *arrays: end_to_end(arrays), *(rows[i] for i in members)
        )
        whole, begin = in_split(function, split, stack), 0
        for i, length in zip(members, lengths, strict=True):
            done[i] = jax.tree.map(lambda x, b=begin, n=length: x[b : b + n], whole)
            begin += length
    return done
