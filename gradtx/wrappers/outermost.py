"""What keeps half-precision weights exact goes around what moves weights itself.

A wrapper such as :func:`gradtx.lookahead` carries the parameters to places of its own.
Were the master weights within it, they would not know, and would carry the parameters
back at the next step. Around it they see every update, and it sees float32.
"""

from collections.abc import Callable
from typing import Any

from gradtx.common import checks, spec
from gradtx.core.transformation import GradientTransformation
from gradtx.wrappers.weights import (
    with_compensation,
    with_master_weights,
    with_stochastic_rounding,
)

EXACT = {
    wrapper.factory: wrapper  # type: ignore[attr-defined]
    for wrapper in (with_compensation, with_master_weights, with_stochastic_rounding)
}


def outermost(
    wrap: Callable[[Any], GradientTransformation], inner: Any
) -> GradientTransformation | None:
    """Return ``wrapper(wrap(tx))`` for an inner ``wrapper(tx)`` that is to be outside.

    For any other it is None.

    Args:
      wrap: the wrapper that moves weights.
      inner: what it is to wrap.

    Raises:
      ValueError: if what is to be outside is deeper within.
    """
    if not spec.is_value(inner):
        return None
    recipe = inner.recipe
    if recipe.factory in EXACT:
        given = dict(recipe.arguments)
        return EXACT[recipe.factory](wrap(given.pop("tx")), **given)
    for name in [] if checks.is_copying() else _within(inner):
        raise checks.InvalidArgument(
            f"{name} must be outermost, as it would not know to where the weights are "
            f"carried around it: put {name} around this"
        )
    return None


def _within(tx: Any) -> list[str]:
    """Return the names of those that are to be outside among the parts of another."""
    names: list[str] = []
    for part in tx.recipe.parts:
        own = [part.recipe.factory.name] if part.recipe.factory in EXACT else []
        names += own or _within(part)
    return names
