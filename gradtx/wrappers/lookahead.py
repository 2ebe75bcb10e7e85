"""Lookahead: k steps forward, one step back."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, OptState, Params, Scalar, Updates, Weights
from gradtx.core import order, state_fit
from gradtx.core.apply_updates import apply_updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import make_slot, weights
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.conditional import cond_inplace
from gradtx.lowering.sharding import in_place_of_sharded, zero_count
from gradtx.primitives.scale import zeros_for
from gradtx.tree.params import FastAndSlow
from gradtx.wrappers.averages import holds_both, merge
from gradtx.wrappers.outermost import outermost
from gradtx.wrappers.step import step_of, typed_like
from gradtx.wrappers.synchronise import synchronised


class LookaheadState(NamedTuple):
    """What :func:`lookahead` remembers where the caller holds the slow weights.

    Example:
      >>> pair = gradtx.LookaheadParams(fast=jnp.ones(2), slow=jnp.ones(2))
      >>> state = gradtx.lookahead(gradtx.sgd(0.1), 5, 0.5).init(pair)
      >>> print(state.steps_since_sync)
      0
    """

    fast_state: OptState
    steps_since_sync: Count

    def averaged_params(self, params: Params) -> Params:
        """Return the slow weights, where the caller gives them."""
        return params.slow if holds_both(params) else params


class LookaheadSlowState(NamedTuple):
    """What :func:`lookahead` remembers where it holds the slow weights itself."""

    fast_state: OptState
    steps_since_sync: Count
    slow_params: Weights  # φ

    def averaged_params(self, params: Params) -> Params:
        """Return the slow weights, and of leaves that have none the current ones."""
        return merge(self.slow_params, params)


class LookaheadParams(FastAndSlow):
    """Fast and slow weights held together, for callers who keep the slow ones.

    Example:
      >>> pair = gradtx.LookaheadParams(fast=jnp.ones(2), slow=jnp.ones(2))
      >>> state = gradtx.lookahead(gradtx.sgd(0.1), 5, 0.5).init(pair)
      >>> type(state).__name__
      'LookaheadState'
    """

    __slots__ = ()

    @classmethod
    def init_synced(cls, params: Params) -> "LookaheadParams":
        """Start both from the same weights, in buffers of their own."""
        return cls(fast=params, slow=merge(make_slot(jnp.copy, params), params))


@order.needs_final("update")
@transformation
def lookahead(
    fast_optimizer: GradientTransformation,
    sync_period: int,
    slow_step_size: Scalar,
    reset_state: bool = False,
    *,
    single_pass: bool = False,
) -> GradientTransformation:
    """Let an optimizer explore, and follow it at a distance.

        θ: the parameters, updated by the fast optimizer    φ: the slow weights
        every k steps:    φ ← φ + α (θ - φ),    θ ← φ

    Takes plain parameters and drops in wherever ``fast_optimizer`` stood; the slow
    weights, which one evaluates with, are found by :func:`gradtx.eval_params`. Extra
    arguments reach the fast optimizer. Given :class:`LookaheadParams` instead, it
    updates both, with gradients for the fast ones, and keeps none. Its own slow weights
    are read and written only when they change, and are kept in at least float32.

    What follows in a chain must not change the updates of a synchronising step, as they
    carry the parameters to the slow weights.

    Args:
      fast_optimizer: any optimizer.
      sync_period: k, the number of fast steps from one synchronisation to the next.
      slow_step_size: α, how far the slow weights follow.
      reset_state: whether the fast optimizer starts anew after each synchronisation.
      single_pass: whether a synchronisation is one pass over memory with the fast step
        before it; where that is right, :func:`gradtx.average` says. Nothing changes
        for :class:`LookaheadParams`.

    Raises:
      ValueError: if k is not a whole number of at least 1 or α is outside [0, 1]; from
        ``update`` if it is given no parameters.

    Reference: Zhang et al., 2019, https://arxiv.org/abs/1907.08610 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.lookahead(gradtx.sgd(0.1), 5, 0.5), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.positive_int(sync_period=sync_period)
    checks.unit_interval(slow_step_size=slow_step_size)
    how = {"sync_period": sync_period, "slow_step_size": slow_step_size}
    how |= {"reset_state": reset_state, "single_pass": single_pass}
    again = partial(lookahead, **how)
    if (outside := outermost(again, fast_optimizer)) is not None:
        return outside
    fast = with_extra_args_support(fast_optimizer)
    move_both = _moving_both(slow_step_size)
    follow = _following(slow_step_size, single_pass=single_pass)

    def init(params: Params) -> LookaheadState | LookaheadSlowState:
        if holds_both(params):
            return LookaheadState(fast.init(params.fast), zero_count(params.fast))
        slow = make_slot(weights, params)
        return LookaheadSlowState(fast.init(params), zero_count(params), slow)

    def renewed(fast_state: OptState, slow: Params) -> OptState:
        if not reset_state:
            return fast_state
        with in_place_of_sharded():
            return typed_like(fast_state, fast.init(slow))

    def update(
        updates: Updates,
        state: Any,
        params: Any = None,
        **extra: Any,
    ) -> tuple[Updates, LookaheadState | LookaheadSlowState]:
        checks.require_params(params)
        steps = state.steps_since_sync + 1
        due = steps >= sync_period

        if holds_both(params):
            theta, phi = params
            u, fast_state = fast.update(updates, state.fast_state, theta, **extra)
            held = _Held(phi, zeros_for(phi, phi))
            u, (_, change) = move_both.update(u, held, theta, due=due)
            if reset_state:
                slow = apply_updates(phi, change)
                fast_state = cond_inplace(
                    due, lambda old: renewed(old, slow), fast_state
                )
            u = type(params)(u, change)
            return u, LookaheadState(fast_state, jnp.where(due, 0, steps))
        held = LookaheadParams(params, _slow_params(state))
        u, held, fast_state = synchronised(
            follow,
            due,
            step_of(fast, updates, extra),
            (updates, held, state.fast_state),
            lambda old, held: renewed(old, merge(held.slow, held.fast)),
            single_pass=single_pass,
        )
        steps = jnp.where(due, 0, steps)
        return u, LookaheadSlowState(fast_state, steps, held.slow)

    return GradientTransformation(init, update)


def _slow_params(state: Any) -> Params:
    if not isinstance(state, LookaheadSlowState):
        raise checks.InvalidArgument(
            f"the state is {state_fit.described(state)}, which holds no slow weights "
            "as LookaheadSlowState does: give `update` LookaheadParams, or "
            "re-initialize the state from plain parameters"
        )
    return state.slow_params


@transformation
def _following(alpha: Scalar, *, single_pass: bool) -> GradientTransformation:
    """Move θ and φ, which are the state, to the new φ, and return how far θ goes."""

    def rule(
        _: jax.Array, theta: jax.Array, phi: jax.Array, *, p: jax.Array, due: jax.Array
    ) -> tuple[jax.Array, ...]:
        phi = theta - (1 - alpha) * (theta - phi)
        return phi - p, jnp.where(due, phi, p if single_pass else theta), phi

    return leafwise(rule, LookaheadParams, fast=jnp.copy, slow=jnp.copy)


class _Held(NamedTuple):
    phi: Params
    change: Updates


@transformation
def _moving_both(alpha: Scalar) -> GradientTransformation:
    """Make the updates of θ and, in the state, of φ, for who holds both."""

    def rule(
        u: jax.Array, phi: jax.Array, _: jax.Array, *, p: jax.Array, due: jax.Array
    ) -> tuple[jax.Array, ...]:
        lead = p + u - phi
        u = jnp.where(due, u - (1 - alpha) * lead, u)
        return u, phi, jnp.where(due, alpha * lead, 0)

    return leafwise(rule, _Held, phi=jnp.copy, change=jnp.copy)
