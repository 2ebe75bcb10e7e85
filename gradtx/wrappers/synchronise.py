"""Every few steps, carry the parameters to slow weights that follow them."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax

from gradtx.common import checks
from gradtx.common.types import OptState, Params, Updates
from gradtx.core.apply_updates import remember
from gradtx.core.transformation import GradientTransformation
from gradtx.lowering.conditional import cond_inplace, either_inplace
from gradtx.primitives.scale import zeros_for
from gradtx.wrappers.half_precision import as_stored, is_narrow, nearest_update
from gradtx.wrappers.step import Now

Held = TypeVar("Held")


def synchronised(
    follow: GradientTransformation,
    due: Any,
    take: Callable[[Now], Now],
    start: tuple[Updates, Held, OptState],
    renew: Callable[[OptState, Held], OptState] = lambda state, _: state,
    *,
    single_pass: bool = False,
) -> tuple[Updates, Held, OptState]:
    """Return the updates, what is held and the state after a step, synchronised if due.

    Args:
      follow: its state is what is held, a named tuple with ``fast``, where the updates
        lead, and ``slow``, the slow weights, and its update is given ``due``. It sets
        both to the new slow weights, and returns how far the parameters go. That
        ``due`` holds then XLA does not know: where ``fast`` is chosen by it, the two
        have a place each. Otherwise it is what the pass reads anyway.
      due: whether to synchronise.
      take: a step of the fast optimizer, as :func:`step_of` makes one.
      start: the updates that the step is given; what is held, ``fast`` being the
        parameters; and the state of the fast optimizer.
      renew: makes the state of the fast optimizer anew, from it and what is held.
      single_pass: whether the step is within what is done if it is due, and if not.
    """

    def step(old: Any) -> Any:
        u, held, state = old
        u, state, fast = take((u, state, held.fast))
        return u, held._replace(fast=jax.tree.map(as_stored, fast)), state

    def meet(params: Params, now: Any) -> Any:
        u, held, state = now
        u, held = follow.update(u, held, params, due=due)
        u, held = _met(u, held, params)
        return u, held, renew(state, held)

    updates, held, state = start
    params = held.fast  # type: ignore[attr-defined]
    if single_pass:
        now = (zeros_for(updates, params), held, state)
        u, held, state = either_inplace(
            due, lambda old: meet(old[1].fast, step(old)), step, now
        )
    else:
        now = step((None, held, state))
        u, held, state = cond_inplace(due, partial(meet, params), now)
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
