"""Generalized primal averaging: Schedule-Free with an average of any length."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
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
from gradtx.core.slots import make_slot, weights
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.lowering.varying import varied_with
from gradtx.wrappers.chain import check_inner
from gradtx.wrappers.inside import learning_rate_of
from gradtx.wrappers.schedule_free import averaged_between
from gradtx.wrappers.step import widest


class PrimalAveragingState(NamedTuple):
    """What :func:`primal_averaging` remembers."""

    inner_state: OptState
    count: Count  # steps taken
    train_interp: Any  # μ_y
    weight_sum: Any  # Σ w; 0 where μ_x is given
    max_lr: Any  # the largest learning rate so far
    z: Weights  # the sequence that inner updates

    def averaged_params(self, params: Params) -> Params:
        """Return x, the average, from y = ``params``."""
        return averaged_between(self.z, params, self.train_interp)


@order.needs_final("update")
@transformation
def primal_averaging(
    inner: GradientTransformation,
    train_interp: Scalar = 0.7,
    eval_interp: Scalar | None = 0.9967,
    weight_power: Scalar = 0.0,
    weight_lr_power: Scalar = 2.0,
    weight_decay: ScalarOrSchedule | None = None,
    decay_at: str = "z",
    learning_rate: ScalarOrSchedule | None = None,
) -> GradientTransformation:
    """Average the weights of an optimizer as it goes, and take gradients in between.

        y = μ_y x + (1 - μ_y) z                    the parameters: gradients are here
        z ← (1 - η λ) z                            or y, with ``decay_at="y"``
        z ← z + u(∇f(y))                           u: the update of inner
        x ← (1 - a) x + a z,  a = 1 - μ_x          or a = w / Σ w, w = t^r (max η)^q

    Smooth DiLoCo (GPA): the average x is long and gradients are taken well ahead.
    With ``eval_interp=None`` it is Schedule-Free, whose average is of all weights.

    x is what one evaluates with: :func:`gradtx.eval_params` finds it wherever this
    stands. It is not kept but follows from y and z, which are all that is kept: 4 bytes
    for each parameter. Unlike for Schedule-Free, ``inner`` may have a momentum. A decay
    in ``inner`` is taken at y, for z. What follows in a chain must not change the
    updates, as they carry the parameters to y.

    Args:
      inner: any optimizer.
      train_interp: μ_y, above 0 and at most 1: how near the parameters are to x.
      eval_interp: μ_x, from 0 to 1: how much of x is kept at a step; 0.9967 is near
        DiLoCo with 32 steps. None: the average is of all z, each with its weight w.
      weight_power: r, at least 0, where ``eval_interp`` is None: how the weights grow
        with the step t, which counts from 1.
      weight_lr_power: q, at least 0, where ``eval_interp`` is None: how much more a
        step of a higher rate weighs.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken; None for
        none.
      decay_at: "z" or "y": which sequence decays, before the step.
      learning_rate: η of the weights w and of the decay, or a schedule; where one of
        them is used. The ``learning_rate`` of ``inner``, if None.

    Raises:
      ValueError: if a number is outside its range, for another ``decay_at``, if no
        learning rate is found where one is used, or if ``inner`` must see the final
        update; from ``update`` if it is given no parameters; from ``chain``, if
        something that changes the updates follows.

    Reference: Generalized Primal Averaging, 2025, https://arxiv.org/abs/2512.17131;
      Defazio et al., 2024, https://arxiv.org/abs/2405.15682 (Schedule-Free)

    Example:
      >>> tx, params = gradtx.primal_averaging(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.06  0.03]
    """
    checks.positive(train_interp=train_interp)
    checks.unit_interval(train_interp=train_interp, eval_interp=eval_interp)
    checks.non_negative(
        weight_power=weight_power,
        weight_lr_power=weight_lr_power,
        weight_decay=weight_decay,
        learning_rate=learning_rate,
    )
    if decay_at not in ("z", "y"):
        raise checks.InvalidArgument(f'decay_at must be "z" or "y", got {decay_at!r}')
    check_inner(inner, "primal_averaging")
    rate: ScalarOrSchedule = 0.0
    if eval_interp is None or weight_decay is not None:
        rate = learning_rate_of(inner, learning_rate)
        checks.non_negative(learning_rate=rate)
    inner = with_extra_args_support(inner)
    move = leafwise(_moving(train_interp, decay_at), _Sequence, z=weights)

    def init(params: Params) -> PrimalAveragingState:
        dtype = widest(params)
        # Where each device has a rate of its own, it has weights of its own.
        zero = varied_with(
            () if callable(rate) else rate, replicated_like(params, 0, dtype)
        )
        return PrimalAveragingState(
            inner_state=inner.init(params),
            count=zero_count(params),
            train_interp=replicated_like(params, train_interp, dtype),
            weight_sum=zero,
            max_lr=jnp.copy(zero),
            z=make_slot(weights, params),
        )

    def update(
        updates: Updates,
        state: PrimalAveragingState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, PrimalAveragingState]:
        checks.require_params(params)
        u, inner_state = inner.update(updates, state.inner_state, params, **extra)
        eta = numerics.value_at(rate, state.count)
        count = numerics.safe_increment(state.count)
        max_lr = jnp.maximum(state.max_lr, jnp.asarray(eta, state.max_lr.dtype))
        total = state.weight_sum
        if eval_interp is None:
            weight = count.astype(total.dtype) ** weight_power
            weight = weight * max_lr**weight_lr_power
            total = (total + weight).astype(total.dtype)
            a = numerics.safe_divide(weight, total)
        else:
            a = numerics.one_minus(eval_interp)
        decay = 0 if weight_decay is None else weight_decay
        shrink = eta * numerics.value_at(decay, state.count)
        u, moved = move.update(u, _Sequence(state.z), params, a=a, shrink=shrink)
        return u, PrimalAveragingState(
            inner_state=inner_state,
            count=count,
            train_interp=jnp.asarray(train_interp, state.train_interp.dtype),
            weight_sum=total,
            max_lr=max_lr,
            z=moved.z,
        )

    return GradientTransformation(init, update)


class _Sequence(NamedTuple):
    z: Weights


def _moving(train_interp: Scalar, decay_at: str) -> Any:
    """Return the rule that moves z by u, and y = p with it: x is struck out."""

    def rule(
        u: jax.Array, z: jax.Array, *, p: jax.Array, a: Any, shrink: Any
    ) -> tuple[jax.Array, jax.Array]:
        y = p
        if decay_at == "z":
            z = z - shrink * z
        else:
            y = p - shrink * p
        return (y - p) + a * (z - y) + (1 - train_interp * (1 - a)) * u, z + u

    return rule
