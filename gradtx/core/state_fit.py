"""Whose state a state is: one of another transformation is refused, both are named."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gradtx.codecs import is_encoded
from gradtx.common import checks
from gradtx.common.shapes import checked_shapes
from gradtx.common.types import OptState, PyTree
from gradtx.tree.keys import is_named_tuple
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
    checked_shapes(state, expected)


_ERRORS = (TypeError, ValueError, AttributeError, LookupError)
