"""MoMo: momentum, with steps no longer than the height that the loss has left."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, safe_divide, value_at
from gradtx.common.types import (
    AxisName,
    Count,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import (
    compute_leaves,
    real_products,
    shared_scalar,
    sum_columns,
)
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.tree import norms


class MomoState(NamedTuple):
    """What :func:`momo` remembers."""

    exp_avg: Updates  # m, the mean of the gradients
    barf: jax.Array  # f̄, the mean of the losses
    gamma: jax.Array  # γ, the mean of ⟨g, p⟩
    lb: jax.Array  # f*, the lower bound of the loss
    count: Count


@transformation
def momo(
    learning_rate: ScalarOrSchedule = 1.0,
    beta: Scalar = 0.9,
    lower_bound: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    adapt_lower_bound: bool = False,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """MoMo: momentum with Polyak's step, for a model of the loss averaged as g is.

        m ← β m + (1 - β) g,   f̄ ← β f̄ + (1 - β) f,   γ ← β γ + (1 - β) ⟨g, p⟩
        h = ρ (f̄ - γ) + ⟨m, p⟩                         ρ = 1 + η λ
        τ = min(η, max(h - ρ f*, 0) / ‖m‖²)             0 where m is 0
        p ← (p - τ m) / ρ

    The first step has β = 0. With ``adapt_lower_bound``, before and after the step

        f* ← max(h / (2 ρ), f₀*)  where h < ρ f*
        f* ← max(f̄ - γ + ⟨m, p⟩ - ½ τ ‖m‖², f₀*)

    Products and norms are taken over all leaves. ``update`` wants the loss f as the
    extra argument ``value``. optax leaves τ m undivided by ρ, which differs where there
    is weight decay.

    Args:
      learning_rate: η, the longest step size, or a schedule of the number of steps
        taken. It may be chosen large.
      beta: β, how much of the means is kept at each step.
      lower_bound: f₀*, below which the loss does not fall; 0 suits most losses.
      weight_decay: λ, or a schedule of it.
      adapt_lower_bound: whether to estimate f*, for want of a good bound.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if β is outside [0, 1), or another number outside its range; from
        ``update`` if it is given no parameters or no ``value``.

    Reference: Schaipp et al., 2023, https://arxiv.org/abs/2305.07583

    Example:
      >>> tx, params = gradtx.contrib.momo(), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [-1. -1.]
    """
    checks.decay_rates(beta=beta)
    checks.finite(lower_bound=lower_bound)
    checks.non_negative(learning_rate=learning_rate, weight_decay=weight_decay)
    average, move = _averaging(), _moving()

    def init(params: Params) -> OptState:
        return average.init(params)._replace(
            **first_model(params, lower_bound, axis_name)
        )

    def update(
        updates: Updates,
        state: MomoState,
        params: Params | None = None,
        *,
        value: Any = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        loss = given_loss(value, state.barf)
        keep = jnp.where(state.count == 0, 0, beta)
        _mean, new = average.update(updates, state, params, keep=keep)
        leaves = compute_leaves(updates, params, exp_avg=new.exp_avg)
        rows = [(real_products(g, p), real_products(m, p)) for g, p, m in leaves]
        model = averaged_model(new, loss, keep, *sum_columns(rows, 2, axis_name))
        rate = value_at(learning_rate, state.count)
        rho = 1 + rate * value_at(weight_decay, state.count)
        length = norms.norm([m for *_, m in leaves], axis_name=axis_name)
        height = rho * (model.barf - model.gamma) + model.product
        low = reset_bound(state.lb, height, rho, 1, lower_bound, adapt_lower_bound)
        # Divided by ‖m‖ one at a time, as its square may overflow.
        gap = jnp.maximum(height - rho * low, 0)
        step = jnp.minimum(rate * length, safe_divide(gap, length))  # τ ‖m‖
        numbers = {"step": step, "length": length, "rho": rho}
        u, _mean = move.update(updates, _Mean(new.exp_avg), params, **numbers)
        end = model.barf - model.gamma + model.product - step * length / 2
        low = jnp.maximum(end, lower_bound) if adapt_lower_bound else low
        return u, new._replace(**model.kept(state, low))

    return GradientTransformation(init, update)


class _Mean(NamedTuple):
    exp_avg: Updates


def _averaging() -> GradientTransformation:
    def rule(
        g: jax.Array, m: jax.Array, *, keep: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        return g, ema(m, g, keep)

    return leafwise(rule, MomoState, exp_avg=zeros)


def _moving() -> GradientTransformation:
    def rule(
        _g: jax.Array,
        m: jax.Array,
        *,
        p: jax.Array,
        step: jax.Array,
        length: jax.Array,
        rho: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        return -(step * safe_divide(m, length) + (rho - 1) * p) / rho, m

    return leafwise(rule, _Mean, exp_avg=zeros)


# --- what MoMo-Adam shares ---------------------------------------------------


class Model(NamedTuple):
    """The averaged model of the loss, f̄ - γ + ⟨m, ·⟩."""

    barf: jax.Array
    gamma: jax.Array
    product: jax.Array  # ⟨m, p⟩

    def kept(self, state: Any, low: jax.Array) -> dict[str, jax.Array]:
        """Return what the state keeps, in the state's types."""
        new = {"barf": self.barf, "gamma": self.gamma, "lb": low}
        return {k: x.astype(getattr(state, k).dtype) for k, x in new.items()}


def first_model(
    params: Params, lower_bound: Scalar, axis_name: AxisName
) -> dict[str, jax.Array]:
    """Make the numbers of the state before any step."""
    numbers = {"barf": 0, "gamma": 0, "lb": lower_bound}
    return {name: shared_scalar(params, x, axis_name) for name, x in numbers.items()}


def given_loss(value: Any, like: jax.Array) -> jax.Array:
    """Return the loss in the type of the state, or refuse its absence."""
    checks.require_extra_arg("value", value)
    return jnp.asarray(value).astype(like.dtype)


def averaged_model(
    new: Any, loss: jax.Array, keep: Scalar, steep: jax.Array, product: jax.Array
) -> Model:
    """Return the model with the new loss, with ⟨g, p⟩ and with ⟨m, p⟩ of the new m."""
    barf, gamma = ema(new.barf, loss, keep), ema(new.gamma, steep, keep)
    return Model(barf, gamma, product)


def reset_bound(
    low: jax.Array, height: jax.Array, rho: Any, unbias: Any, least: Any, adapt: bool
) -> jax.Array:
    """Return f*, lowered to half the model's height where the model lies below it."""
    if not adapt:
        return low
    half = jnp.maximum(height / (2 * rho * unbias), least)
    return jnp.where(height < rho * unbias * low, half, low)
