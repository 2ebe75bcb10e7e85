"""Which transformations may come after one that must see the final update.

Some transformations rely on what becomes of their updates: one that keeps the norm of
the weights keeps it only if the updates reach the parameters as they are. Each says so
where its factory is made, and so do the few that pass updates on or only scale them.
:func:`check` is asked wherever transformations are put together. Of those from
elsewhere nothing is known, nor of those that touch a part of the leaves only: they are
let through.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import jax

from gradtx.common import checks, spec
from gradtx.core.masking import masked
from gradtx.core.transformation import identity

F = TypeVar("F", bound=Callable[..., Any])
Condition = Callable[[dict[str, Any]], bool]

# What must not be changed afterwards: the updates, or their direction alone.
Needs = Literal["update", "direction"]
# What is left of the updates that come in. "parts": what all parts leave; "others":
# those of the leaves that it does not touch, which may be all that matter.
Keeps = Literal["update", "direction", "parts", "others"]

_NEEDS: dict[spec.Factory, tuple[Needs, Condition]] = {}
_KEEPS: dict[spec.Factory, tuple[Keeps, Condition]] = {}


def _always(arguments: dict[str, Any]) -> bool:
    del arguments
    return True


def needs_final(what: Needs, when: Condition = _always) -> Callable[[F], F]:
    """Declare that a factory's transformations must see the final update.

    Args:
      what: "update" if its updates must reach the parameters as they are, "direction"
        if all of them may be multiplied by one number.
      when: from the arguments of the factory, by name, to whether it holds for them.
    """

    def declare(factory: F) -> F:
        _NEEDS[factory.factory] = (what, when)  # type: ignore[attr-defined]
        return factory

    return declare


def keeps(what: Keeps, when: Condition = _always) -> Callable[[F], F]:
    """Declare what a factory's transformations leave of the updates that come in.

    Args:
      what: as :data:`Keeps` tells.
      when: from the arguments of the factory, by name, to whether it holds for them.
    """

    def declare(factory: F) -> F:
        _KEEPS[factory.factory] = (what, when)  # type: ignore[attr-defined]
        return factory

    return declare


keeps("update")(identity)
keeps("others")(masked)


def check(links: Sequence[Any]) -> None:
    """Refuse a sequence of transformations of which one spoils what another needs.

    Raises:
      ValueError: if a transformation that must see the final update is followed by one
        that changes it; both are named.
    """
    for i, link in enumerate(links):
        for name, need in _needs(link):
            for later in links[i + 1 :]:
                for spoiler in _spoilers(later, need):
                    raise _refused(name, spoiler)


def check_inner(inner: Any, outer: str) -> None:
    """Refuse ``inner`` if it must see the final update, which ``outer`` changes.

    Raises:
      ValueError: if it must; both are named.
    """
    for name, _ in _needs(inner):
        raise _refused(name, outer)


def _refused(name: str, later: str) -> checks.InvalidArgument:
    return checks.InvalidArgument(
        f"{name} must see the final update, but {later} would change it afterwards: "
        f"put {name} last, around all that changes updates"
    )


def _needs(tx: Any) -> Iterator[tuple[str, Needs]]:
    """Yield what a transformation and its parts need, with the name of each.

    Nothing within a copy, which was checked when it was made first.
    """
    if checks.is_copying() or not spec.is_value(tx):
        return
    need = _declared(_NEEDS, tx.recipe)
    if need is not None:
        yield tx.recipe.factory.name, need
        return
    for part in _parts(tx.recipe):
        yield from _needs(part)


def _spoilers(tx: Any, need: Needs) -> Iterator[str]:
    """Yield the names of the parts that do not leave what is needed."""
    if not spec.is_value(tx):
        return
    kept = _declared(_KEEPS, tx.recipe)
    if kept in ("update", "others", need):
        return
    if kept == "parts" or spec.is_value(tx.recipe.product):
        for part in _parts(tx.recipe):
            yield from _spoilers(part, need)
    else:
        yield tx.recipe.factory.name


def _declared(table: dict[spec.Factory, Any], recipe: spec.Recipe) -> Any:
    what, when = table.get(recipe.factory, (None, _always))
    return what if when(recipe.arguments) else None


def _parts(recipe: spec.Recipe) -> list[Any]:
    """Return what a value is made of: what its factory made, or its arguments."""
    if spec.is_value(recipe.product):
        return [recipe.product]
    found = jax.tree.leaves(recipe.arguments, is_leaf=spec.is_value)
    return [x for x in found if spec.is_value(x)]
