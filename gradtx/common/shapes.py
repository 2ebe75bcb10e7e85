"""Whether the arrays of a state have the shapes that they must have."""

from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.types import OptState


def checked_shapes(state: OptState, expected: OptState) -> None:
    """Refuse a state of other shapes than another of the same structure.

    Args:
      state: the state that was given.
      expected: a state of the right shapes; if its structure is another, nothing is
        said.

    Raises:
      InvalidArgument: if a shape differs; its path is named.
    """
    given, treedef = jax.tree_util.tree_flatten_with_path(state)
    others, structure = jax.tree.flatten(expected)
    if treedef != structure:
        return
    for (path, x), other in zip(given, others, strict=True):
        has, must = _shape(x), _shape(other)
        if has != must:
            raise checks.InvalidArgument(
                f"the state at {checks.path_name(path)} has shape {has}, but would be "
                f"of shape {must}: it was made for another parameter, or has been "
                "replaced"
            )


def checked_step(state: OptState, found: tuple[Any, OptState]) -> tuple[Any, OptState]:
    """Return the updates and the state that a step made of a state.

    They have the shapes of the state before. If not, a number was set for an array, or
    the state is that of other parameters, and was broadcast: it is refused.
    """
    checked_shapes(state, found[1])
    return found


def _shape(x: Any) -> tuple[int, ...]:
    """Return the shape of a leaf: none of a number, and of a function in a model."""
    return getattr(x, "shape", ())
