"""Parameters that are known before their update is added to them."""

import weakref
from typing import Any

from jax.core import Tracer

# By the update's identity, for as long as it lives: itself, the parameter, their sum.
_SUMS: dict[int, tuple[Any, Any, Any]] = {}


def remember(p: Any, u: Any, moved: Any) -> None:
    """Remember that ``p + u`` is ``moved``, while a program is traced.

    Where a step may be left out, the sum is best made within what is left out: then the
    program never reads the parameter, and what remains unused, the update, is dropped.
    Outside of tracing nothing is remembered, as there nothing would be dropped.

    ``moved`` must not be computed from ``u``, only beside it: it would keep ``u`` alive
    and be remembered for ever.
    """
    if isinstance(u, Tracer) and isinstance(p, Tracer):
        key = id(u)
        itself = weakref.ref(u, lambda _, forget=_SUMS.pop: forget(key, None))
        _SUMS[key] = (itself, weakref.ref(p), moved)


def known(p: Any, u: Any) -> Any:
    """Return the sum of these very two, if it is remembered, and else None."""
    itself, parameter, moved = _SUMS.get(id(u), (None, None, None))
    if itself is None or itself() is not u or parameter() is not p:
        return None
    return moved
