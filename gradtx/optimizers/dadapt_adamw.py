"""D-Adaptation: AdamW that estimates its distance to the solution as it goes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    ema,
    one_minus,
    one_minus_power,
    safe_divide,
    safe_increment,
    sqrt,
    value_at,
)
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import (
    compute_leaves,
    real_products,
    shared_scalar,
    sum_columns,
)
from gradtx.core.slots import squares, wide_zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.tree.norms import modulus


class DAdaptAdamWState(NamedTuple):
    """What :func:`dadapt_adamw` remembers."""

    exp_avg: Updates  # m, the mean of the steps
    exp_avg_sq: SecondMoment  # v, the mean of the squares
    grad_sum: Updates  # s, the weighted mean of the gradients
    estim_lr: jax.Array  # d, the estimated distance
    numerator_weighted: jax.Array  # r
    count: Count


@transformation
def dadapt_adamw(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    estim_lr0: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    *,
    use_bias_correction: bool = True,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """AdamW whose learning rate d is a lower bound of the distance to the solution.

        γ = d η √(1 - β₂ᵗ) / (1 - β₁ᵗ)
        a = γ ⟨g, s / (√v + ε)⟩                         ⟨·,·⟩ over all leaves
        m ← β₁ m + (1 - β₁) γ g
        v ← β₂ v + (1 - β₂) |g|²
        s ← √β₂ s + (1 - √β₂) γ g
        p ← p - m / (√v + ε) - γ λ p
        r ← √β₂ r + (1 - √β₂) a
        d ← max(d, r / ((1 - √β₂) ‖s‖₁))                from d₀

    d, r and ‖s‖₁ are taken over all leaves together, and a gradient of zeros leaves
    them as they are. γ = d η is the paper's; the bias correction, which its authors'
    package has as an option, is on here as it is in optax. As in both, a is measured by
    the v of the step before. s, m and the shared numbers are kept in at least float32.

    Args:
      learning_rate: η, a factor of d, or a schedule of the number of steps taken; 1, or
        a schedule that falls from 1.
      betas: β₁ and β₂, how much of the means is kept at each step.
      eps: ε.
      estim_lr0: d₀, an underestimate of the distance.
      weight_decay: λ, or a schedule of it.
      use_bias_correction: whether γ makes up for the start of m and v at zero.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a decay is outside [0, 1), or a number outside its range; from
        ``update`` if it is given no parameters.

    Reference: Defazio and Mishchenko, 2023, https://arxiv.org/abs/2301.07733

    Example:
      >>> tx, params = gradtx.dadapt_adamw(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-1.e-07  1.e-07]
    """
    b1, b2 = betas
    checks.decay_rates(**{"betas[0]": b1, "betas[1]": b2})
    checks.non_negative(learning_rate=learning_rate, weight_decay=weight_decay, eps=eps)
    checks.positive(estim_lr0=estim_lr0)
    b3 = b2**0.5
    step = _step(b1, b2, eps)

    def init(params: Params) -> OptState:
        return step.init(params)._replace(
            estim_lr=shared_scalar(params, estim_lr0, axis_name),
            numerator_weighted=shared_scalar(params, 0, axis_name),
        )

    def update(
        updates: Updates,
        state: DAdaptAdamWState,
        params: Params | None = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        d = state.estim_lr
        rate = d * value_at(learning_rate, state.count)
        if use_bias_correction:
            rate = rate * adam_bias(b1, b2, safe_increment(state.count), d.dtype)
        decay = rate * value_at(weight_decay, state.count)
        u, new = step.update(updates, state, params, rate=rate, decay=decay)
        found = _sums(updates, state, new.grad_sum, eps)
        along, length = sum_columns(found, 2, axis_name)
        r = ema(state.numerator_weighted, rate * along, b3)
        far = safe_divide(r, one_minus(b3) * length)
        return u, new._replace(
            estim_lr=jnp.maximum(d, far).astype(d.dtype),
            numerator_weighted=r.astype(d.dtype),
        )

    return GradientTransformation(init, update)


def _step(b1: Scalar, b2: Scalar, eps: Scalar) -> GradientTransformation:
    """Make the part that every leaf does by itself, for a known d."""

    def rule(
        g: jax.Array,
        m: jax.Array,
        v: jax.Array,
        s: jax.Array,
        *,
        p: jax.Array,
        rate: jax.Array,
        decay: jax.Array,
    ) -> tuple[jax.Array, ...]:
        m = ema(m, rate * g, b1)
        v = ema(v, abs_sq(g), b2)
        s = ema(s, rate * g, b2**0.5)
        return -safe_divide(m, sqrt(v) + eps) - decay * p, m, v, s

    return leafwise(
        rule,
        DAdaptAdamWState,
        exp_avg=wide_zeros,
        exp_avg_sq=squares,
        grad_sum=wide_zeros,
    )


def _sums(
    updates: Updates, state: DAdaptAdamWState, new: Updates, eps: Scalar
) -> list[tuple[jax.Array, ...]]:
    """Return for every leaf what ⟨g, s / (√v + ε)⟩, s the old, and ‖s‖₁ are sums of."""
    slots = {"grad_sum": state.grad_sum, "exp_avg_sq": state.exp_avg_sq, "new": new}
    return [
        (real_products(g, safe_divide(s, sqrt(v) + eps)), modulus(after))
        for g, _, s, v, after in compute_leaves(updates, **slots)
    ]


def adam_bias(b1: Scalar, b2: Scalar, t: Count, dtype: DTypeLike) -> jax.Array:
    """Return √(1 - β₂ᵗ) / (1 - β₁ᵗ), which makes the ratio of Adam's means unbiased."""
    root = jnp.sqrt(one_minus_power(b2, t, dtype))
    return root / one_minus_power(b1, t, dtype)
