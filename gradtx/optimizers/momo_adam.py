"""MoMo-Adam: Adam, with steps no longer than the height that the loss has left."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    one_minus_power,
    safe_divide,
    sqrt,
    value_at,
)
from gradtx.common.types import (
    AxisName,
    Count,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import compute_leaves, real_products, sum_columns
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.momo import averaged_model, first_model, given_loss, reset_bound


class MomoAdamState(NamedTuple):
    """What :func:`momo_adam` remembers."""

    exp_avg: Updates  # m, the mean of the gradients
    exp_avg_sq: SecondMoment  # v, the mean of their squares
    barf: jax.Array  # f̄, the mean of the losses
    gamma: jax.Array  # γ, the mean of ⟨g, p⟩
    lb: jax.Array  # f*, the lower bound of the loss
    count: Count


@transformation
def momo_adam(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    lower_bound: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    adapt_lower_bound: bool = False,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """MoMo-Adam: Adam with Polyak's step, for a model of the loss averaged as g is.

        m ← β₁ m + (1 - β₁) g,  f̄ ← β₁ f̄ + (1 - β₁) f,  γ ← β₁ γ + (1 - β₁) ⟨g, p⟩
        v ← β₂ v + (1 - β₂) |g|²
        D = ε + √(v / (1 - β₂ᵗ)),   b = 1 - β₁ᵗ,   ρ = 1 + η λ
        h = ρ (f̄ - γ) + ⟨m, p⟩
        τ = min(η / b, max(h - ρ b f*, 0) / ⟨m, m / D⟩)         0 where m is 0
        p ← (p - τ m / D) / ρ

    With ``adapt_lower_bound``, before and after the step

        f* ← max(h / (2 ρ b), f₀*)  where h < ρ b f*
        f* ← max((f̄ - γ + ⟨m, p⟩ - ½ τ ⟨m, m / D⟩) / b, f₀*)

    Products are taken over all leaves. ``update`` wants the loss f as the extra
    argument ``value``. optax leaves τ m / D undivided by ρ, which differs where there
    is weight decay.

    Args:
      learning_rate: η, the longest step size, or a schedule of the number of steps
        taken. It may be chosen large.
      b1: β₁, how much of the means is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε.
      lower_bound: f₀*, below which the loss does not fall; 0 suits most losses.
      weight_decay: λ, or a schedule of it.
      adapt_lower_bound: whether to estimate f*, for want of a good bound.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a decay is outside [0, 1), or another number outside its range;
        from ``update`` if it is given no parameters or no ``value``.

    Reference: Schaipp et al., 2023, https://arxiv.org/abs/2305.07583

    Example:
      >>> tx, params = gradtx.contrib.momo_adam(), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [-0.01 -0.01]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.finite(lower_bound=lower_bound)
    checks.non_negative(learning_rate=learning_rate, weight_decay=weight_decay, eps=eps)
    average, move = _averaging(b1, b2), _moving(b2, eps)

    def init(params: Params) -> OptState:
        return average.init(params)._replace(
            **first_model(params, lower_bound, axis_name)
        )

    def update(
        updates: Updates,
        state: MomoAdamState,
        params: Params | None = None,
        *,
        value: Any = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        loss = given_loss(value, state.barf)
        _mean, new = average.update(updates, state, params)
        found = _sums(updates, params, new, b2, eps)
        *products, square = sum_columns(found, 3, axis_name)
        model = averaged_model(new, loss, b1, *products)
        rate = value_at(learning_rate, state.count)
        rho = 1 + rate * value_at(weight_decay, state.count)
        unbias = one_minus_power(b1, new.count, model.barf.dtype)
        height = rho * (model.barf - model.gamma) + model.product
        low = reset_bound(state.lb, height, rho, unbias, lower_bound, adapt_lower_bound)
        gap = jnp.maximum(height - rho * unbias * low, 0)
        tau = jnp.minimum(rate / unbias, safe_divide(gap, square))
        numbers = {"tau": tau, "rho": rho, "step": new.count}
        moments = _Moments(new.exp_avg, new.exp_avg_sq)
        u, _moments = move.update(updates, moments, params, **numbers)
        end = (model.barf - model.gamma + model.product - tau * square / 2) / unbias
        low = jnp.maximum(end, lower_bound) if adapt_lower_bound else low
        return u, new._replace(**model.kept(state, low))

    return GradientTransformation(init, update)


class _Moments(NamedTuple):
    exp_avg: Updates
    exp_avg_sq: SecondMoment


def _averaging(b1: Scalar, b2: Scalar) -> GradientTransformation:
    def rule(g: jax.Array, m: jax.Array, v: jax.Array) -> tuple[jax.Array, ...]:
        return g, ema(m, g, b1), ema(v, abs_sq(g), b2)

    return leafwise(rule, MomoAdamState, exp_avg=zeros, exp_avg_sq=squares)


def _moving(b2: Scalar, eps: Scalar) -> GradientTransformation:
    def rule(
        _g: jax.Array,
        m: jax.Array,
        v: jax.Array,
        *,
        p: jax.Array,
        tau: jax.Array,
        rho: jax.Array,
        step: Count,
    ) -> tuple[jax.Array, ...]:
        direction = _preconditioned(m, v, b2, step, eps)
        return -(tau * direction + (rho - 1) * p) / rho, m, v

    return leafwise(rule, _Moments, exp_avg=zeros, exp_avg_sq=squares)


def _preconditioned(
    m: jax.Array, v: jax.Array, b2: Scalar, t: Count, eps: Scalar
) -> jax.Array:
    """Return m / D."""
    return safe_divide(m, eps + sqrt(debias(v, b2, t)))


def _sums(
    updates: Updates, params: Params | None, new: Any, b2: Scalar, eps: Scalar
) -> list[tuple[jax.Array, ...]]:
    """Return for every leaf what ⟨g, p⟩, ⟨m, p⟩ and ⟨m, m / D⟩ are the sums of."""
    slots = {"exp_avg": new.exp_avg, "exp_avg_sq": new.exp_avg_sq}
    return [
        (
            real_products(g, p),
            real_products(m, p),
            real_products(m, _preconditioned(m, v, b2, new.count, eps)),
        )
        for g, p, m, v in compute_leaves(updates, params, **slots)
    ]
