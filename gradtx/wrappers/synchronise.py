"""Every few steps, carry the parameters to slow weights that follow them."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax

from gradtx.common import checks
from gradtx.common.types import OptState, Params, Updates
from gradtx.core.apply_updates import remember
from gradtx.core.transformation import GradientTransformation
from gradtx.lowering.conditional import cond_inplace
from gradtx.wrappers.half_precision import is_narrow, nearest_update

Held = TypeVar("Held")


def synchronised(
    follow: GradientTransformation,
    due: Any,
    now: tuple[Updates, Held, OptState],
    params: Params,
    renew: Callable[[OptState, Held], OptState] = lambda state, _: state,
) -> tuple[Updates, Held, OptState]:
    """Return the updates, what is held and the state; if it is due, synchronised.

    Args:
      follow: its state is what is held, a named tuple with ``fast``, where the updates
        lead, and ``slow``, the slow weights, and its update is given ``due``. It sets
        both to the new slow weights, and returns how far the parameters go.
      due: whether to synchronise.
      now: the updates, what is held, and the state of the fast optimizer.
      params: the parameters.
      renew: makes the state of the fast optimizer anew, from it and what is held.
    """

    def meet(now: Any) -> Any:
        u, held, state = now
        u, held = follow.update(u, held, params, due=due)
        u, held = _met(u, held, params)
        return u, held, renew(state, held)

    u, held, state = cond_inplace(due, meet, now)
    remember(params, u, held.fast)  # type: ignore[attr-defined]
    return u, held, state


def _met(u: Updates, held: Any, params: Params) -> tuple[Updates, Any]:
    """Put half-precision θ where the update carries it, next to φ in float32."""
    moves, treedef = jax.tree.flatten(u, is_leaf=checks.is_none)
    p, fast, slow = map(treedef.flatten_up_to, (params, held.fast, held.slow))
    for i, move in enumerate(moves):
        if move is not None and is_narrow(p[i]):
            moves[i], there = nearest_update(p[i], slow[i])
            fast[i] = there.astype(p[i].dtype)
    return treedef.unflatten(moves), held._replace(fast=treedef.unflatten(fast))
