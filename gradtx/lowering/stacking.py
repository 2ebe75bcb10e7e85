"""Stacks of matrices whose layout is part of their type: each device takes a share."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from gradtx.lowering.sharding import laid_out, layout_of


def mergeable(x: jax.Array, groups: Sequence[Sequence[int]]) -> jax.Array:
    """Return an array that is sharded along the first axis of every group at most.

    Then the axes of a group, one behind the other, can be taken as one axis.
    """
    layout = layout_of(x)
    if layout is None:
        return x
    first = {group[0] for group in groups if group}
    return laid_out(
        x, [part if i in first else None for i, part in enumerate(layout.spec)]
    )


def specs_of(x: jax.Array, groups: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Return how a mergeable array is sharded, with each group merged and in order.

    Both are None where no type says it.
    """
    layout = layout_of(x)
    if layout is None:
        return None, None
    parts = [[layout.spec[i] for i in group] for group in groups]
    merged = [part[0] if part else None for part in parts]
    return PartitionSpec(*merged), PartitionSpec(*[p for part in parts for p in part])


def stacks_with(matrices: jax.Array) -> Any:
    """Return what batches of matrices have in common that may be laid end to end.

    They are to be sharded alike, and not along the axis that they are joined along.
    """
    layout = layout_of(matrices)
    if layout is None:
        return None
    return layout.spec if layout.spec[0] is None else id(matrices)


def in_shares(
    function: Callable[[jax.Array], jax.Array], stack: jax.Array
) -> jax.Array:
    """Apply a function of a batch of matrices, each device to some of them, whole.

    So it is where the type says that the matrices are sharded: they are exchanged once
    before and once after, and what the function does takes no communication. Elsewhere
    the function is given the stack as it is.

    Args:
      function: from an array of shape (b, m, n) to another of that shape, which treats
        every matrix apart.
      stack: the matrices.
    """
    layout = layout_of(stack)
    names = [] if layout is None else _names(layout.spec)
    if layout is None or not names:
        return function(stack)
    axes = _fitting(stack, names, layout)
    missing = -len(stack) % _devices(axes, layout)
    padded = jnp.pad(stack, ((0, missing), (0, 0), (0, 0))) if missing else stack
    made = function(laid_out(padded, [axes or None, None, None]))
    made = laid_out(made, layout.spec)
    return made[: len(stack)] if missing else made


def _fitting(stack: jax.Array, names: list[Any], layout: Any) -> tuple[Any, ...]:
    """Return the axes over which a device has the fewest matrices, few axes if many do.

    Over more devices than there are matrices the rest would be padding. A stack that is
    sharded along its first axis cannot be padded.
    """
    every = [some for n in range(len(names) + 1) for some in combinations(names, n)]
    if layout.spec[0] is not None:
        every = [some for some in every if len(stack) % _devices(some, layout) == 0]

    def cost(some: tuple[Any, ...]) -> tuple[int, int]:
        devices = _devices(some, layout)
        return -(-len(stack) // devices), devices

    return min(every, key=cost)


def _names(spec: PartitionSpec) -> list[Any]:
    parts = [part if isinstance(part, tuple) else (part,) for part in spec]
    return [name for part in parts for name in part if name is not None]


def _devices(axes: Sequence[Any], layout: Any) -> int:
    return math.prod(layout.mesh.shape[axis] for axis in axes)
