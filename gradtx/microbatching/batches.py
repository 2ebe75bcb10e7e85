"""Where the batch lies in the arguments, and how it is cut."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree


def reshape_batch_axis(tree: PyTree, microbatch_size: int, axis: int = 0) -> PyTree:
    """Cut the batch of every leaf into microbatches.

        out[i, j] = x[i + j·n]        i < n = batch / microbatch_size

    with the two axes in the place of the one. A microbatch takes every n-th example, so
    that a batch that is spread over devices needs not move: each microbatch is spread
    over them in the same way.

    Args:
      tree: a tree of arrays that have the batch axis.
      microbatch_size: the number of examples in a microbatch.
      axis: the batch axis; negative ones count from the last.

    Raises:
      ValueError: if a leaf does not have the axis, or its batch is not divisible.

    Example:
      >>> print(gradtx.microbatching.reshape_batch_axis(jnp.zeros((6, 2)), 3).shape)
      (2, 3, 2)
    """
    with checks.named("reshape_batch_axis"):
        checks.positive_int(microbatch_size=microbatch_size)

        def one(path: Any, x: Any) -> Any:
            batch = batch_of(x, axis, jax.tree_util.keystr(path) or "the array")
            return batch.cut(microbatch_size).swapaxes(batch.axis, batch.axis + 1)

        return jax.tree_util.tree_map_with_path(one, tree)


class Batch(NamedTuple):
    """An array with a batch axis."""

    array: Any
    axis: int  # from the first
    name: str  # what the user knows it by

    @property
    def size(self) -> int:
        """The number of examples."""
        return self.array.shape[self.axis]

    def cut(self, microbatch_size: int) -> Any:
        """Return the array with the axes (example, microbatch) for the batch axis."""
        if self.size == 0 or self.size % microbatch_size:
            raise checks.InvalidArgument(
                f"the batch of {self.size} in {self.name} must be divisible by "
                f"microbatch_size={microbatch_size}"
            )
        before, after = self.array.shape[: self.axis], self.array.shape[self.axis + 1 :]
        count = self.size // microbatch_size
        return self.array.reshape(*before, microbatch_size, count, *after)


def batch_of(x: Any, axis: int, name: str) -> Batch:
    """Return an array with its batch axis; NumPy's stay what they are."""
    x = x if hasattr(x, "reshape") else jnp.asarray(x)
    if not -x.ndim <= axis < x.ndim:
        raise checks.InvalidArgument(
            f"{name} has no axis {axis} for the batch: its shape is {tuple(x.shape)}"
        )
    return Batch(x, axis % x.ndim, name)


def same_size(batches: Sequence[Batch]) -> int:
    """Return the number of examples.

    Raises:
      InvalidArgument: if there is no batch, or two differ in size.
    """
    if not batches:
        raise checks.InvalidArgument(
            "no argument has a batch axis, so there is nothing to cut"
        )
    first = batches[0]
    for other in batches[1:]:
        if other.size != first.size:
            raise checks.InvalidArgument(
                f"batches must be of one size, got {first.size} in {first.name} and "
                f"{other.size} in {other.name}"
            )
    return first.size


def axes_of(axes: PyTree, arguments: PyTree) -> list[int | None]:
    """Return the batch axis of every leaf of the arguments, None if it has none.

    Args:
      axes: a prefix of the tree of arguments, whose leaves are integers or None.
      arguments: the positional and the named arguments.
    """
    try:
        full = jax.tree.broadcast(axes, arguments, is_leaf=checks.is_none)
    except ValueError as error:
        raise checks.InvalidArgument(
            f"in_axes does not match the arguments: {error}"
        ) from error
    return jax.tree.structure(arguments).flatten_up_to(full)


def argument_name(path: Any) -> str:
    """Name a leaf of (args, kwargs) as the caller knows it."""
    _, place, *rest = path
    which = getattr(place, "idx", None)
    name = f"argument {which if which is not None else repr(place.key)}"
    return name + jax.tree_util.keystr(tuple(rest))
