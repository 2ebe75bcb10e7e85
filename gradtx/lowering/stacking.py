"""Stacks of matrices whose layout is part of their type: each device takes a share."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from gradtx.common.types import PyTree
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


def end_to_end(arrays: Sequence[jax.Array]) -> jax.Array:
    """Concatenate batches, where their types tell their layouts in one of those.

    The layout is one in which the batch is not cut, so that nothing is sent for those
    that lie so already.
    """
    layouts = [layout_of(x) for x in arrays]
    if len(arrays) > 1 and all(layout is not None for layout in layouts):
        specs = [layout.spec for layout in layouts if layout is not None]
        spec = next((spec for spec in specs if not spec or spec[0] is None), ())
        arrays = [laid_out(x, spec) for x in arrays]
    return jnp.concatenate(arrays)


def in_shares(function: Callable[[jax.Array], PyTree], stack: jax.Array) -> Any:
    """Apply a function of a batch of matrices, each device to some of them, whole.

    So it is where the type says that the matrices are sharded: they are exchanged once
    before and once after, and what the function does takes no communication. Elsewhere
    the function is given the stack as it is.

    Args:
      function: from an array of shape (b, m, n) to others of that shape, which treats
        every matrix apart.
      stack: the matrices.
    """
    layout = layout_of(stack)
    names = [] if layout is None else _names(layout.spec)
    if layout is None or not names:
        return function(stack)
    # A stack that is sharded along its first axis cannot be padded.
    even = layout.spec[0] is not None
    axes = fitting(len(stack), names, layout.mesh, even=even)
    missing = -len(stack) % devices_along(axes, layout.mesh)
    padded = jnp.pad(stack, ((0, missing), (0, 0), (0, 0))) if missing else stack
    made = function(laid_out(padded, [axes or None, None, None]))

    def back(x: jax.Array) -> jax.Array:
        x = laid_out(x, layout.spec)
        return x[: len(stack)] if missing else x

    return jax.tree.map(back, made)


def fitting(
    many: int, names: Sequence[Any], mesh: Any, *, even: bool = False
) -> tuple[Any, ...]:
    """Return the axes over which a device has the fewest matrices, few axes if many do.

    Over more devices than there are matrices the rest would be padding.

    Args:
      many: how many matrices there are.
      names: the axes to choose from.
      mesh: the mesh.
      even: whether the devices have to divide the matrices.
    """
    every = [some for n in range(len(names) + 1) for some in combinations(names, n)]
    if even:
        every = [some for some in every if many % devices_along(some, mesh) == 0]

    def cost(some: tuple[Any, ...]) -> tuple[int, int]:
        devices = devices_along(some, mesh)
        return -(-many // devices), devices

    return min(every, key=cost)


def _names(spec: PartitionSpec) -> list[Any]:
    parts = [part if isinstance(part, tuple) else (part,) for part in spec]
    return [name for part in parts for name in part if name is not None]


def devices_along(axes: Sequence[Any], mesh: Any) -> int:
    """Return over how many devices some axes of a mesh go, together."""
    return math.prod(mesh.shape[axis] for axis in axes)
