"""Schedule-Free: an average of the weights instead of a decaying learning rate."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.foreign import is_instance, plain
from gradtx.common.types import (
    Count,
    DTypeLike,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    Weights,
)
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import make_slot, weights
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.lowering.varying import varied_with
from gradtx.wrappers.averages import made_with
from gradtx.wrappers.evaluation import averaged, held_like
from gradtx.wrappers.outermost import outermost
from gradtx.wrappers.step import widest


class ScheduleFreeState(NamedTuple):
    """What :func:`schedule_free` remembers."""

    b1: Any  # β
    weight_sum: Any  # Σ w
    step_count: Count
    max_lr: Any  # the largest learning rate so far
    base_optimizer_state: OptState
    z: Weights  # the sequence that the base optimizer updates

    def averaged_params(self, params: Params) -> Params:
        """Return x, the average, from y = ``params``."""
        return _average(self, params)


@order.needs_final("update")
@transformation
def schedule_free(
    base_optimizer: GradientTransformation,
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    weight_lr_power: Scalar = 2.0,
    state_dtype: DTypeLike | None = None,
    *,
    weight_step_power: Scalar = 0.0,
) -> GradientTransformation:
    """Average the weights of an optimizer as it goes, and take gradients in between.

        y = (1 - β) z + β x                the parameters, where gradients are taken
        z ← z + u(∇f(y))                   u: the update of the base optimizer
        x ← (1 - c) x + c z                c = w / Σ w,  w = tʳ (max η)^power

    x is what one evaluates with: :func:`gradtx.eval_params` finds it wherever this
    stands. It is not kept but follows from y and z, so that the memory is that of
    momentum; the base optimizer should have none of its own.

    Both the rate here and schedules in the base optimizer count steps from 0. The rate
    is to rise to a value and stay there. What follows in a chain must not change the
    updates, as they carry the parameters to y.

    Args:
      base_optimizer: any optimizer without momentum.
      learning_rate: η of the base optimizer, for the weights of the average.
      b1: β, from 0 to 1; above 0, or x cannot be told from y.
      weight_lr_power: how much more a step of a higher rate weighs.
      state_dtype: the type to keep z in; None means the parameter's, float32 at least.
        In fewer bits its small steps are lost.
      weight_step_power: r, how much more a later step t = 1, 2, … weighs.

    Raises:
      ValueError: if β is outside (0, 1] or the rate or a power negative; from
        ``update`` if it is given no parameters.

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682

    Example:
      >>> tx, params = gradtx.schedule_free(gradtx.sgd(0.1), 0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.positive(b1=b1)
    checks.unit_interval(b1=b1)
    checks.non_negative(
        learning_rate=learning_rate,
        weight_lr_power=weight_lr_power,
        weight_step_power=weight_step_power,
    )
    how = {"b1": b1, "weight_lr_power": weight_lr_power, "state_dtype": state_dtype}
    again = partial(
        schedule_free,
        learning_rate=learning_rate,
        weight_step_power=weight_step_power,
        **how,
    )
    if (outside := outermost(again, base_optimizer)) is not None:
        return outside
    base = with_extra_args_support(base_optimizer)

    def copied(p: jax.Array) -> jax.Array:
        if state_dtype is None:
            return weights(p)
        complex_ = jnp.iscomplexobj(p)
        wide = jnp.promote_types(state_dtype, p.dtype) if complex_ else state_dtype
        return jnp.array(p, wide)

    follow = leafwise(_follow, _Sequence, z=copied)

    def init(params: Params) -> ScheduleFreeState:
        dtype = widest(params)
        # Where each device has a rate of its own, it has weights of its own.
        rate = () if callable(learning_rate) else learning_rate
        zero = varied_with(rate, replicated_like(params, 0, dtype))
        return ScheduleFreeState(
            b1=replicated_like(params, b1, dtype),
            weight_sum=zero,
            step_count=zero_count(params),
            max_lr=jnp.copy(zero),
            base_optimizer_state=base.init(params),
            z=make_slot(copied, params),
        )

    def update(
        updates: Updates,
        state: ScheduleFreeState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ScheduleFreeState]:
        checks.require_params(params)
        rate = numerics.value_at(learning_rate, state.step_count)
        max_lr = jnp.maximum(state.max_lr, jnp.asarray(rate, state.max_lr.dtype))
        t = (state.step_count + 1).astype(max_lr.dtype)
        weight = t**weight_step_power * max_lr**weight_lr_power
        weight_sum = state.weight_sum + weight
        u, base_state = base.update(
            updates, state.base_optimizer_state, params, **extra
        )
        c = numerics.safe_divide(weight, weight_sum)
        new, moved = follow.update(u, _Sequence(state.z), params, c=c, b1=b1)
        return new, ScheduleFreeState(
            b1=jnp.asarray(b1, state.b1.dtype),
            weight_sum=weight_sum.astype(state.weight_sum.dtype),
            step_count=numerics.safe_increment(state.step_count),
            max_lr=max_lr,
            base_optimizer_state=base_state,
            z=moved.z,
        )

    return GradientTransformation(init, update)


class _Sequence(NamedTuple):
    z: Weights


def _follow(
    u: jax.Array, z: jax.Array, *, p: jax.Array, c: jax.Array, b1: Scalar
) -> tuple[jax.Array, jax.Array]:
    """Move z by u, and y = p with it: x is struck out of the equations."""
    return (1 - b1 * (1 - c)) * u - c * (p - z), z + u


def schedule_free_eval_params(state: OptState, params: Params) -> Params:
    """Return x, the weights to evaluate with, from the state and y = ``params``.

    Like :func:`gradtx.eval_params`, but refuses a state without such weights.

    Args:
      state: the state of :func:`schedule_free`, or any state that holds one.
      params: the current parameters.

    Raises:
      ValueError: if there is no such state in it, or one of other parameters.

    Example:
      >>> tx, params = gradtx.schedule_free_sgd(0.1), jnp.ones(2)
      >>> print(gradtx.schedule_free_eval_params(tx.init(params), params))
      [1. 1.]
    """
    state = plain(state)
    nodes = jax.tree.leaves(state, is_leaf=_is_schedule_free)
    if not any(map(_is_schedule_free, nodes)):
        raise checks.InvalidArgument(
            "schedule_free_eval_params: the state holds none of schedule_free"
        )
    found = averaged(state, plain(params), _is_schedule_free, _average)
    return held_like(params, found)


def _is_schedule_free(node: Any) -> bool:
    """Whether this is a state of :func:`schedule_free`, ours or optax's."""
    return isinstance(node, ScheduleFreeState) or is_instance(
        node, "optax.contrib", "ScheduleFreeState"
    )


def _average(state: Any, params: Params) -> Params:
    return averaged_between(state.z, params, state.b1)


def averaged_between(z: Params, params: Params, b1: Any) -> Params:
    """Return x = y + (y - z) (1 - β) / β from z and y = ``params``."""
    return made_with(z, params, lambda z, y: y + (y - z) * ((1 - b1) / b1))
