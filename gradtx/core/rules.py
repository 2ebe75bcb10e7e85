"""What is refused of a rule: its arguments, its results, the state it is to have."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree


def wrong_arguments(
    signature: inspect.Signature, slots: Sequence[str]
) -> checks.InvalidArgument:
    """Return the error for a rule that does not take the gradient and every slot."""
    return checks.InvalidArgument(
        f"leafwise: the rule must take rule({', '.join(['g', *slots])}), what else "
        f"it wants by keyword, after a `*`; it takes {signature}"
    )


def refuse_state(state_type: Any, slots: Iterable[str]) -> NoReturn:
    """Refuse a state that is no class of named tuples, or lacks the field of a slot."""
    fields = getattr(state_type, "_fields", None)
    if fields is None:
        raise checks.InvalidArgument(
            f"leafwise: the state must be a class of named tuples, got {state_type!r}"
        )
    name = next(x for x in slots if x not in fields)
    raise checks.InvalidArgument(
        f"leafwise: {state_type.__name__} has no field for the slot {name!r}: "
        f"add one; it has {', '.join(fields) or 'none'}"
    )


def explained(
    things: Sequence[Any], g: jax.Array, slots: Sequence[str], old: Sequence[PyTree]
) -> list[PyTree]:
    """Return what a rule returned that is not at once what it must: numbers as arrays.

    Args:
      things: what the rule returned.
      g: the gradient it was given.
      slots: the names of the slots.
      old: the slots it was given.

    Raises:
      InvalidArgument: if something is missing, or too much, or has another shape
        than before.
    """
    wanted = ", ".join(["u", *(f"new_{name}" for name in slots)])
    if len(things) != 1 + len(slots):
        raise checks.InvalidArgument(
            f"the rule of leafwise must return {wanted}: the update"
            + (" and every slot of state" if slots else " alone")
            + f". It returned {len(things)} of {1 + len(slots)}"
        )
    u, *new = things
    u = _array(u, "the update")
    _same_shape(u, g, "the update", "the gradient")
    for name, before, after in zip(slots, old, new, strict=True):
        _like(before, after, f"the slot {name!r}")
    return [u, *new]


def _like(before: PyTree, after: PyTree, what: str) -> None:
    structures = [jax.tree.structure(x) for x in (before, after)]
    if structures[0] != structures[1]:
        raise checks.InvalidArgument(
            f"the rule of leafwise returned {what} as a tree of structure "
            f"{structures[1]}, but was given it as {structures[0]}"
        )
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    for one, other in pairs:
        _same_shape(_array(other, what), one, what, "it")


def _array(x: Any, what: str) -> jax.Array:
    try:
        return jnp.asarray(x)
    except (TypeError, ValueError):
        raise checks.InvalidArgument(
            f"the rule of leafwise returned {what} as {type(x).__name__}, not an array"
        ) from None


def _same_shape(x: Any, like: Any, what: str, which: str) -> None:
    if jnp.shape(x) != jnp.shape(like):
        raise checks.InvalidArgument(
            f"the rule of leafwise returned {what} of shape {jnp.shape(x)}, but was "
            f"given {which} of shape {jnp.shape(like)}"
        )
