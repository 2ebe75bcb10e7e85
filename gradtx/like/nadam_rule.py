"""NAdam's direction with the momentum that rises, as PyTorch and Keras have it."""

from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    safe_divide,
    safe_increment,
    sqrt,
)
from gradtx.common.types import (
    Count,
    Exact,
    OptState,
    Params,
    Scalar,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import shared_scalar
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation

_DECAY = 0.96  # of the difference of the momentum from β₁; Dozat's


class ScaleByRisingNadamState(NamedTuple):
    """What :func:`scale_by_rising_nadam` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of their squares
    mu_product: Exact  # Π μ, the product of all momenta so far


@transformation
def scale_by_rising_nadam(
    b1: Scalar, b2: Scalar, eps: Scalar, momentum_decay: Scalar
) -> GradientTransformation:
    """Look ahead by the momentum of the next step, which rises from β₁ / 2 to β₁.

        m ← β₁ m + (1 - β₁) g,    v ← β₂ v + (1 - β₂) |g|²
        μₜ = β₁ (1 - ½ 0.96^(t ψ)),    Πₜ = μ₁ ⋯ μₜ
        m̂ = μₜ₊₁ m / (1 - Πₜ₊₁) + (1 - μₜ) g / (1 - Πₜ)
        u = m̂ / (√(v / (1 - β₂ᵗ)) + ε)

    Args:
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      eps: ε, at least 0.
      momentum_decay: ψ, at least 0.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, momentum_decay=momentum_decay)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count, ahead: Any, now: Any
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        v = ema(v, abs_sq(g), b2)
        mean = ahead.astype(v.dtype) * m + now.astype(v.dtype) * g
        return safe_divide(mean, sqrt(debias(v, b2, t)) + eps), m, v

    moments = leafwise(rule, ScaleByRisingNadamState, mu=zeros, nu=squares)

    def momentum(t: Any) -> Any:
        return b1 * (1 - 0.5 * _DECAY ** (t * momentum_decay))

    def init(params: Params) -> OptState:
        return moments.init(params)._replace(mu_product=shared_scalar(params, 1.0))

    def update(
        updates: Updates, state: Any, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        t = safe_increment(state.count).astype(state.mu_product.dtype)
        product = state.mu_product * momentum(t)
        weights = {
            "ahead": momentum(t + 1) / (1 - product * momentum(t + 1)),
            "now": (1 - momentum(t)) / (1 - product),
        }
        updates, new = moments.update(updates, state, params, **weights)
        return updates, new._replace(mu_product=product.astype(t.dtype))

    return GradientTransformation(init, update)
