"""EMA-Nesterov: look ahead along the mean of the steps."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, real_dtype, safe_increment, value_at
from gradtx.common.types import (
    Count,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    Weights,
)
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import make_slot, wide_zeros
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.wrappers.averages import Find, made_with
from gradtx.wrappers.outermost import outermost
from gradtx.wrappers.step import widest


class EmaNesterovState(NamedTuple):
    """What :func:`ema_nesterov` remembers."""

    inner_state: OptState
    count: Count  # t
    step_size: Any  # β, by which the parameters are ahead
    ema: Weights  # e, the mean of the steps

    def seen_by_inner(self, find: Find, params: Params) -> Params:
        """Return x = y - β e from y = ``params``, or what is averaged along it."""

        def behind(e: jax.Array, y: jax.Array) -> jax.Array:
            return y - self.step_size.astype(real_dtype(y.dtype)) * e

        return find(self.inner_state, made_with(self.ema, params, behind))


@order.needs_final("update")
@transformation
def ema_nesterov(
    inner: GradientTransformation,
    step_size: ScalarOrSchedule = 0.3,
    decay: Scalar = 0.99,
) -> GradientTransformation:
    """Take every gradient ahead of the weights, along the mean of their steps.

        y = x + β e                                the parameters: gradients are here
        x' = y + u(∇f(y))                          u: the update of inner
        e ← γ e + (1 - γ) (x' - x),  x ← x'

    x is what one evaluates with: :func:`gradtx.eval_params` finds it wherever this
    stands. It is not kept but follows from y and e, so that the memory is that of
    momentum. The decay of ``inner`` acts at y.

    The authors let β go with the learning rate, β η / max η, and look ahead only after
    a first part of the run and before a last one: give a schedule. e is averaged where
    β is 0 too. What follows in a chain must not change the updates, as they carry the
    parameters to y.

    Args:
      inner: any optimizer.
      step_size: β, at least 0, or a schedule of the number of steps taken. 0 leaves
        ``inner`` as it is. The authors' is 0.3, and 0.6 around plain Muon.
      decay: γ, from 0 and below 1: how much of the mean is kept at a step.

    Raises:
      ValueError: if β is negative or γ outside [0, 1); from ``update`` if it is given
        no parameters; from ``chain``, if something that changes the updates follows.

    Reference: EMA-Nesterov, 2026, https://arxiv.org/abs/2605.25395; modded-nanogpt,
      track 3, records 39 to 46, https://github.com/KellerJordan/modded-nanogpt

    Example:
      >>> tx, params = gradtx.ema_nesterov(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.201  0.1  ]
    """
    checks.non_negative(step_size=step_size)
    checks.decay_rates(decay=decay)
    again = partial(ema_nesterov, step_size=step_size, decay=decay)
    if (outside := outermost(again, inner)) is not None:
        return outside
    inner = with_extra_args_support(inner)

    def rule(
        u: jax.Array, e: jax.Array, *, old: jax.Array, new: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Move y by u + β' e', as y + u is the new x."""
        e = ema(e, u + old * e, decay)
        return u + new * e, e

    follow = leafwise(rule, _Mean, ema=wide_zeros)

    def init(params: Params) -> EmaNesterovState:
        return EmaNesterovState(
            inner_state=inner.init(params),
            count=zero_count(params),
            step_size=replicated_like(params, 0, widest(params)),
            ema=make_slot(wide_zeros, params),
        )

    def update(
        updates: Updates,
        state: EmaNesterovState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, EmaNesterovState]:
        checks.require_params(params)
        u, inner_state = inner.update(updates, state.inner_state, params, **extra)
        count = safe_increment(state.count)
        ahead = jnp.asarray(value_at(step_size, count), state.step_size.dtype)
        u, moved = follow.update(
            u, _Mean(state.ema), params, old=state.step_size, new=ahead
        )
        return u, EmaNesterovState(inner_state, count, ahead, moved.ema)

    return GradientTransformation(init, update)


class _Mean(NamedTuple):
    ema: Weights
