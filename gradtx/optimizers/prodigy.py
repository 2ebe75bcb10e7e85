"""Prodigy: AdamW that finds out its learning rate from how far it has come."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    ema,
    safe_divide,
    safe_increment,
    sqrt,
    value_at,
)
from gradtx.common.types import (
    AxisName,
    Count,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
    Weights,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.masking import MaskedState, restrict
from gradtx.core.reductions import (
    compute_leaves,
    real_products,
    shared_scalar,
    sum_columns,
)
from gradtx.core.slots import squares, weights, wide_zeros
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.optimizers.dadapt_adamw import adam_bias
from gradtx.tree.norms import modulus


class ProdigyState(NamedTuple):
    """What :func:`prodigy` remembers."""

    exp_avg: Updates  # m, the mean of the gradients times d
    exp_avg_sq: SecondMoment  # v, the mean of their squares
    grad_sum: Updates  # s, the weighted sum of the gradients
    params0: Weights  # p₀, where it all began
    estim_lr: jax.Array  # d, the estimated learning rate
    numerator_weighted: jax.Array  # r
    count: Count


@transformation
def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    beta3: Scalar | None = None,
    eps: Scalar = 1e-8,
    estim_lr0: Scalar = 1e-6,
    estim_lr_coef: Scalar = 1.0,
    weight_decay: ScalarOrSchedule = 0.0,
    safeguard_warmup: bool = False,
    weight_decay_mask: MaskOrFn | None = None,
    *,
    use_bias_correction: bool = True,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Prodigy: AdamW whose learning rate d grows to the distance from the start.

        γ = η √(1 - β₂ᵗ) / (1 - β₁ᵗ)
        m ← β₁ m + (1 - β₁) d g
        v ← β₂ v + (1 - β₂) |d g|²
        p ← p - γ d (m / (√v + d ε) + λ p)
        r ← β₃ r + (d / d₀) γ d ⟨g, p₀ - p⟩             ⟨·,·⟩ over all leaves
        s ← β₃ s + (d / d₀) γ d g
        d ← max(d, c r / ‖s‖₁)                          from d₀

    d, r and ‖s‖₁ are taken over all leaves together, and a gradient of zeros leaves
    them as they are. γ = η is the paper's Algorithm 4; the bias correction, which its
    authors' package has as an option, is on here as it is in optax. s, m and the shared
    numbers are kept in at least float32.

    Args:
      learning_rate: η, a factor of d, or a schedule of the number of steps taken; 1, or
        a schedule that falls from 1.
      betas: β₁ and β₂, how much of the means is kept at each step.
      beta3: β₃, how much of r and s is kept; √β₂ if None.
      eps: ε.
      estim_lr0: d₀, an underestimate of the learning rate.
      estim_lr_coef: c, the factor to tune if there must be one.
      weight_decay: λ, or a schedule of it.
      safeguard_warmup: whether s gets d in place of γ d, for schedules that warm up.
      weight_decay_mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      use_bias_correction: whether γ makes up for the start of m and v at zero.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which r
        and ‖s‖₁ are summed for leaves in parts, as :func:`clip_by_global_norm` takes
        it. None: the sums over what this device holds.

    Raises:
      ValueError: if a decay is outside [0, 1), or a number outside its range; from
        ``update`` if it is given no parameters, or for an axis that is not there.

    Reference: Mishchenko and Defazio, 2023, https://arxiv.org/abs/2306.06101
      (Algorithm 4)

    Example:
      >>> tx, params = gradtx.prodigy(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-1.e-07  1.e-07]
    """
    b1, b2 = betas
    checks.decay_rates(**{"betas[0]": b1, "betas[1]": b2, "beta3": beta3})
    checks.non_negative(learning_rate=learning_rate, weight_decay=weight_decay, eps=eps)
    checks.positive(estim_lr0=estim_lr0, estim_lr_coef=estim_lr_coef)
    b3 = b2**0.5 if beta3 is None else beta3
    step, shrink = _step(b1, b2, b3, eps), _shrinking(weight_decay_mask)

    def init(params: Params) -> OptState:
        return step.init(params)._replace(
            estim_lr=shared_scalar(params, estim_lr0, axis_name),
            numerator_weighted=shared_scalar(params, 0, axis_name),
        )

    def update(
        updates: Updates, state: ProdigyState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        d = state.estim_lr
        rate = d * value_at(learning_rate, state.count)
        if use_bias_correction:
            rate = rate * adam_bias(b1, b2, safe_increment(state.count), d.dtype)
        weight = d / estim_lr0 * (d if safeguard_warmup else rate)
        u, new = step.update(updates, state, params, d=d, rate=rate, weight=weight)
        u = shrink(u, params, rate * value_at(weight_decay, state.count))
        fallen, length = _sums(updates, params, state.params0, new.grad_sum, axis_name)
        r = b3 * state.numerator_weighted + d / estim_lr0 * rate * fallen
        far = estim_lr_coef * safe_divide(r, length)
        return u, new._replace(
            estim_lr=jnp.maximum(d, far).astype(d.dtype),
            numerator_weighted=r.astype(d.dtype),
        )

    return GradientTransformation(init, update)


def _step(b1: Scalar, b2: Scalar, b3: Scalar, eps: Scalar) -> GradientTransformation:
    """Make the part that every leaf does by itself, for a known d."""

    def rule(
        g: jax.Array,
        m: jax.Array,
        v: jax.Array,
        s: jax.Array,
        p0: jax.Array,
        *,
        p: jax.Array,
        d: jax.Array,
        rate: jax.Array,
        weight: jax.Array,
    ) -> tuple[jax.Array, ...]:
        del p  # only to have it demanded
        m = ema(m, d * g, b1)
        v = ema(v, abs_sq(d * g), b2)
        u = -rate * safe_divide(m, sqrt(v) + d * eps)
        return u, m, v, b3 * s + weight * g, p0

    return leafwise(
        rule,
        ProdigyState,
        exp_avg=wide_zeros,
        exp_avg_sq=squares,
        grad_sum=wide_zeros,
        params0=weights,
    )


def _sums(
    updates: Updates,
    params: Params | None,
    start: Params,
    new: Updates,
    axis_name: AxisName,
) -> list[jax.Array]:
    """Return ⟨g, p₀ - p⟩ and ‖s‖₁ over all leaves."""
    leaves = compute_leaves(updates, params, params0=start, grad_sum=new)
    rows = [(real_products(g, p0 - p), modulus(s)) for g, p, p0, s in leaves]
    return sum_columns(rows, 2, axis_name)


def _shrinking(mask: MaskOrFn | None) -> Callable[..., Updates]:
    """Make the function that takes a fraction of the parameters off the updates."""
    take = leafwise(lambda u, *, p, fraction: u - fraction * p, EmptyState)
    tx = restrict(take, True if mask is None else mask)

    def shrink(u: Updates, params: Params | None, fraction: jax.Array) -> Updates:
        state = MaskedState(EmptyState())
        return tx.update(u, state, params, fraction=fraction)[0]

    return shrink
