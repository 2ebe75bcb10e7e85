"""Whose state a state is: one of another transformation is refused, both are named."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.codecs import is_encoded
from gradtx.common import checks
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import OptState, PyTree
from gradtx.tree.keys import is_named_tuple
from gradtx.tree.masks import is_masked
from gradtx.tree.params import fits, marks_of
from gradtx.tree.placeholders import SlotPlaceholder


def described(state: Any) -> str:
    """Name a state by the classes that it is made of."""
    if is_named_tuple(state):
        labels = getattr(state, "inner_states", None)  # of `partition`
        name = type(state).__name__
        return f"{name} of {', '.join(map(repr, labels))}" if labels else name
    if isinstance(state, tuple | list):
        kind = type(state).__name__
        return f"a {kind} of ({', '.join(map(described, state))})"
    if isinstance(state, dict):
        inner = (f"{key!r}: {described(x)}" for key, x in state.items())
        return f"a dict of {{{', '.join(inner)}}}"
    if is_encoded(state):
        return "a quantized array"
    if isinstance(state, jax.Array | np.ndarray | np.generic | int | float | complex):
        return "an array"
    return type(state).__name__


def refuse(state: OptState, expected: str) -> None:
    """Refuse a state, with what to do."""
    raise checks.InvalidArgument(
        f"the state is {described(state)}, but this transformation's is {expected}: "
        "pass on the state that its own `init` or last `update` returned"
    )


def of_class(state: OptState, kind: Any, fields: list[str]) -> None:
    """Refuse a state that is not of a class, or of its namesake in another library.

    Args:
      state: the state.
      kind: the class.
      fields: the names of the fields that are needed.
    """
    known = isinstance(state, kind) or type(state).__name__ == kind.__name__
    if not (known and all(hasattr(state, name) for name in fields)):
        refuse(state, kind.__name__)


def check_fits(
    init: Callable[[Any], OptState], state: OptState, params: PyTree = None
) -> None:
    """Refuse a state of another structure, or of other shapes, than ``init`` makes.

    For when something went wrong with it. Nothing is said where ``init`` cannot tell
    without parameters: then the error that there was must do.

    Args:
      init: makes the state.
      state: the state.
      params: the parameters, or what is shaped like them; None looks at no shapes.
    """
    try:
        marks = marks_of(init, state, SlotPlaceholder())
    except _ERRORS:
        return
    if not fits(marks, state):
        refuse(state, described(marks))
    try:
        expected = jax.eval_shape(init, params)
    except _ERRORS:
        return
    checks.same_shapes(state, expected)


_ERRORS = (TypeError, ValueError, AttributeError, LookupError)


def check_slot(
    path: Any, g: Any, s: PyTree, name: str, made: Callable[[Any, Any], PyTree]
) -> None:
    """Refuse the slot of a leaf that has another shape than the gradient's.

    Args:
      path: the leaf's.
      g: the gradient.
      s: the slot.
      name: the field of the state, for errors.
      made: from the shape and type of a parameter to the shapes of its slot.
    """
    if is_encoded(s):
        raise checks.InvalidArgument(
            f"the state {name!r} at {checks.path_name(path)} is quantized: give it "
            "to `quantize_state` of this transformation, or decode it first by "
            "gradtx.codecs.decoded(state)"
        )
    plain = getattr(s, "shape", None) == g.shape if is_differentiable(g) else True
    plain = plain or is_masked(s)
    if not plain and _shapes(s) != _shapes(made(g.shape, g.dtype)):
        raise checks.InvalidArgument(
            f"the gradient at {checks.path_name(path)} has shape {g.shape}, but "
            f"its state {name!r} is {_written(s)}: it was made for another "
            "parameter, or for one without a gradient, or has been replaced"
        )


def _shapes(slot: PyTree) -> Any:
    leaves, treedef = jax.tree.flatten(slot)
    return treedef, list(map(jnp.shape, leaves))


def _written(slot: PyTree) -> str:
    shapes = jax.tree.map(jnp.shape, slot)
    return f"of shape {shapes}" if jax.tree.leaves(slot) else repr(slot)
