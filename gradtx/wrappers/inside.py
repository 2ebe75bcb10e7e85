"""Find what a transformation is made of: its learning rate, what it is wrapped around.

A transformation made by factories of this library remembers their arguments.
"""

from collections.abc import Callable
from typing import Any

from gradtx.common import checks, spec
from gradtx.common.types import ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.wrappers.schedule_free import schedule_free


def learning_rate_of(inner: Any, given: ScalarOrSchedule | None) -> ScalarOrSchedule:
    """Return the learning rate that was given, or else the one that ``inner`` has.

    Raises:
      ValueError: if none was given, and ``inner`` has none or several.
    """
    if given is not None:
        return given
    found = _named("learning_rate", inner)
    if len(found) != 1:
        many = "no part" if not found else "more than one part"
        raise checks.InvalidArgument(
            f"learning_rate is not given, and {many} of the transformation within has "
            "one: give learning_rate"
        )
    return found[0]


def check_descends(inner: Any, **instead: str) -> None:
    """Refuse ``inner`` if its learning rate is known to be negative.

    Args:
      inner: what a wrapper that compares with the gradient is put around.
      **instead: the wrapper's name, and what to do for ascent.

    Raises:
      ValueError: if a part has such a rate.
    """
    ((outer, advice),) = instead.items()
    for rate in _named("learning_rate", inner):
        if (checks.known_number(rate) or 0) < 0:
            raise checks.InvalidArgument(
                f"learning_rate is {rate:g} within {outer}, which goes downhill only: "
                f"{advice}"
            )


def _named(name: str, tx: Any) -> list[Any]:
    """Return the arguments of that name: its own, or else those of its parts."""
    if not spec.is_value(tx):
        return []
    own = tx.recipe.arguments
    if own.get(name) is not None:
        return [own[name]]
    return [x for part in tx.recipe.parts for x in _named(name, part)]


def around_base(
    inner: GradientTransformation,
    wrap: Callable[[GradientTransformation], GradientTransformation],
) -> GradientTransformation | None:
    """Wrap the base optimizer of ``inner`` if that is Schedule-Free, else return None.

    The updates of Schedule-Free carry the parameters to a place between two sequences,
    and must not be changed. Its base optimizer makes the step.
    """
    found: Any = inner
    while spec.is_value(found):
        if found.recipe.factory is schedule_free.factory:  # type: ignore[attr-defined]
            base = found.recipe.arguments["base_optimizer"]
            return found.replace(base_optimizer=wrap(base))
        found = found.recipe.product
    return None
