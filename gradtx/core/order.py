"""What must not follow a transformation, and what it leaves: its factory declares it.

Some transformations rely on what becomes of their updates: one that keeps the norm of
the weights keeps it only if the updates reach the parameters as they are. Each says so
where its factory is made, and so do the few that pass updates on or only scale them.
:func:`gradtx.chain` asks, and so do wrappers that change updates afterwards.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from gradtx.common.spec import Factory
from gradtx.core.masking import masked
from gradtx.core.transformation import identity

F = TypeVar("F", bound=Callable[..., Any])
Condition = Callable[[dict[str, Any]], bool] | None

# What must not be changed afterwards: the updates, or their direction alone.
Needs = Literal["update", "direction"]
# What is left of the updates that come in. "parts": what all parts leave; "others":
# those of the leaves that it does not touch, which may be all that matter.
Keeps = Literal["update", "direction", "parts", "others"]

NEEDS: dict[Factory, tuple[Needs, Condition]] = {}
KEEPS: dict[Factory, tuple[Keeps, Condition]] = {}


def needs_final(what: Needs, when: Condition = None) -> Callable[[F], F]:
    """Declare that a factory's transformations must see the final update.

    Args:
      what: "update" if its updates must reach the parameters as they are, "direction"
        if all of them may be multiplied by one number.
      when: from the arguments of the factory, by name, to whether it holds for them;
        always, if None.
    """

    def declare(factory: F) -> F:
        NEEDS[factory.factory] = (what, when)  # type: ignore[attr-defined]
        return factory

    return declare


def keeps(what: Keeps, when: Condition = None) -> Callable[[F], F]:
    """Declare what a factory's transformations leave of the updates that come in.

    Args:
      what: as :data:`Keeps` tells.
      when: from the arguments of the factory, by name, to whether it holds for them;
        always, if None.
    """

    def declare(factory: F) -> F:
        KEEPS[factory.factory] = (what, when)  # type: ignore[attr-defined]
        return factory

    return declare


keeps("update")(identity)
keeps("others")(masked)
