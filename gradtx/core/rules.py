"""The rule of a method for one array: what it takes, what it must return, its state."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.core.slots import Slot

Rule = Callable[..., Any]


class Wants:
    """What a rule names by keyword."""

    def __init__(self, rule: Rule, slots: Sequence[str]) -> None:
        keywords = {
            name: parameter
            for name, parameter in inspect.signature(rule).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        p = keywords.pop("p", None)
        self.takes_p = p is not None
        self.params = p is not None and p.default is p.empty
        self.takes_t = keywords.pop("t", None) is not None
        self._extra = keywords
        _check_positions(rule, slots)

    def chosen(self, extra: dict[str, Any]) -> dict[str, Any]:
        """Return the extra arguments that the rule wants; refuse if one is missing."""
        for name, parameter in self._extra.items():
            if name not in extra and parameter.default is parameter.empty:
                checks.require_extra_arg(name, None)
        return {name: extra[name] for name in self._extra if name in extra}

    def named(self, given: dict[str, Any], p: Any) -> dict[str, Any]:
        """Return what the rule names, of what there is for one leaf."""
        named = {k: x for k, x in given.items() if k != "t" or self.takes_t}
        return {**named, "p": p} if self.takes_p else named


def _check_positions(rule: Rule, slots: Sequence[str]) -> None:
    """Refuse a rule that does not take the gradient and every slot."""
    signature = inspect.signature(rule)
    names = inspect.getfullargspec(rule).kwonlyargs
    try:
        signature.bind("g", *slots, **dict.fromkeys(names))
    except TypeError as error:
        raise checks.InvalidArgument(
            f"leafwise: the rule must take rule({', '.join(['g', *slots])}), what else "
            f"it wants by keyword, after a `*`; it takes {signature}"
        ) from error


def counter_of(state_type: Any, slots: dict[str, Slot]) -> str | None:
    """Return the field in which steps are counted; refuse slots that are no fields."""
    fields = getattr(state_type, "_fields", None)
    if fields is None:
        raise checks.InvalidArgument(
            f"leafwise: the state must be a class of named tuples, got {state_type!r}"
        )
    for name in slots:
        if name not in fields:
            raise checks.InvalidArgument(
                f"leafwise: {state_type.__name__} has no field for the slot {name!r}: "
                f"add one; it has {', '.join(fields) or 'none'}"
            )
    return next((x for x in ("count", "t") if x in fields and x not in slots), None)


# --- what it returned ---------------------------------------------------------


def parted(
    results: Any, g: jax.Array, slots: Sequence[str], old: Sequence[PyTree]
) -> tuple[jax.Array, list[PyTree]]:
    """Return the update and the new slots.

    Args:
      results: what the rule returned.
      g: the gradient it was given.
      slots: the names of the slots.
      old: the slots it was given.

    Raises:
      InvalidArgument: if something is missing, or too much, or has another shape
        than before.
    """
    things = results if isinstance(results, tuple) else (results,)
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
    return u, new


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
