"""Outer Nesterov: momentum of what many steps have done together."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, OptState, Params, Scalar, Updates, Weights
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import make_slot, weights, wide_zeros
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import zero_count
from gradtx.wrappers.averages import merge
from gradtx.wrappers.outermost import outermost
from gradtx.wrappers.step import step_of
from gradtx.wrappers.synchronise import synchronised


class OuterNesterovState(NamedTuple):
    """What :func:`outer_nesterov` remembers."""

    inner_state: OptState
    steps_since_sync: Count
    slow_params: Weights  # φ
    velocity: Weights  # b

    def averaged_params(self, params: Params) -> Params:
        """Return the weights after the last outer step."""
        return merge(self.slow_params, params)


class _Held(NamedTuple):
    fast: Weights  # θ
    slow: Weights  # φ
    velocity: Weights  # b


@order.needs_final("update")
@transformation
def outer_nesterov(
    inner: GradientTransformation,
    every: int,
    outer_learning_rate: Scalar = 0.7,
    outer_momentum: Scalar = 0.9,
    *,
    single_pass: bool = False,
) -> GradientTransformation:
    """Take many steps for one gradient, and give it to Nesterov's momentum.

        θ: the parameters, updated by inner        φ: where the last outer step led
        every H steps:    Δ = φ - θ
                          b ← μ b + η Δ
                          θ ← φ - μ b - η Δ,    φ ← θ

    With one worker this is DiLoCo's outer optimizer, around AdamW, and MuLoCo's, around
    Muon. With μ = 0 it is Lookahead that follows by η. ``inner`` keeps its state.

    φ is what one evaluates with between: :func:`gradtx.eval_params` finds it. φ and b
    are read and written only when they change, and are kept in at least float32. What
    follows in a chain must not change the updates of an outer step, as they carry the
    parameters to φ.

    Args:
      inner: any optimizer.
      every: H, at least 1: how many steps one outer step is taken after. The authors
        take 500 (DiLoCo) and 30 (track 3 of modded-nanogpt).
      outer_learning_rate: η, at least 0.
      outer_momentum: μ, from 0 and below 1. DiLoCo takes 0.9, track 3 0.5.
      single_pass: whether an outer step is one pass over memory with the step of
        ``inner`` before it; where that is right, :func:`gradtx.average` says.

    Raises:
      ValueError: if H is no whole number of at least 1, η is negative or μ outside
        [0, 1); from ``update`` if it is given no parameters; from ``chain``, if
        something that changes the updates follows.

    Reference: Douillard et al., 2023, https://arxiv.org/abs/2311.08105 (DiLoCo,
      Algorithm 1); MuLoCo, 2025, https://arxiv.org/abs/2505.23725

    Example:
      >>> tx, params = gradtx.outer_nesterov(gradtx.sgd(0.1), every=2), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.positive_int(every=every)
    checks.non_negative(outer_learning_rate=outer_learning_rate)
    checks.decay_rates(outer_momentum=outer_momentum)
    how = {"outer_learning_rate": outer_learning_rate, "outer_momentum": outer_momentum}
    again = partial(outer_nesterov, every=every, **how, single_pass=single_pass)
    if (outside := outermost(again, inner)) is not None:
        return outside
    inner = with_extra_args_support(inner)

    def rule(
        _: jax.Array,
        theta: jax.Array,
        phi: jax.Array,
        b: jax.Array,
        *,
        p: jax.Array,
        due: jax.Array,
    ) -> tuple[jax.Array, ...]:
        old, step = outer_momentum * b, outer_learning_rate * (phi - theta)
        b = old + step
        # A TPU's compiler finds b and φ in one pass if what both need is in b alone.
        phi = phi - (outer_momentum * b + (b - old if single_pass else step))
        return phi - p, jnp.where(due, phi, p if single_pass else theta), phi, b

    follow = leafwise(rule, _Held, fast=jnp.copy, slow=weights, velocity=wide_zeros)

    def init(params: Params) -> OuterNesterovState:
        return OuterNesterovState(
            inner_state=inner.init(params),
            steps_since_sync=zero_count(params),
            slow_params=make_slot(weights, params),
            velocity=make_slot(wide_zeros, params),
        )

    def update(
        updates: Updates,
        state: OuterNesterovState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OuterNesterovState]:
        checks.require_params(params)
        steps = state.steps_since_sync + 1
        due = steps >= every
        held = _Held(params, state.slow_params, state.velocity)
        u, held, inner_state = synchronised(
            follow,
            due,
            step_of(inner, updates, extra),
            (updates, held, state.inner_state),
            single_pass=single_pass,
        )
        return u, OuterNesterovState(
            inner_state, jnp.where(due, 0, steps), held.slow, held.velocity
        )

    return GradientTransformation(init, update)
