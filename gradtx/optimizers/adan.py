"""Adan: Nesterov's look ahead, by the difference of two gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, debias, ema, overwrite, safe_divide, sqrt
from gradtx.common.types import (
    Count,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.masking import restrict
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.primitives.scheduled import scheduled
from gradtx.wrappers.chain import chain


class ScaleByAdanState(NamedTuple):
    """What :func:`scale_by_adan` remembers."""

    m: Updates  # the mean of the gradients
    v: Updates  # the mean of their differences
    n: SecondMoment  # the mean square of the gradient seen ahead
    g: Updates  # the last gradient
    t: Count


@transformation
def scale_by_adan(
    b1: Scalar = 0.98,
    b2: Scalar = 0.92,
    b3: Scalar = 0.99,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    *,
    swap_b2: bool = False,
) -> GradientTransformation:
    """Look ahead by the change of the gradient, and divide by the size of what is seen.

        d = g - gₗₐₛₜ                              0 at the first step
        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) d
        n ← β₃ n + (1 - β₃) |g + β₂ d|²
        u = (m̂ + β₂ v̂) / (√(n̂ + ε_root) + ε)      m̂ = m / (1 - β₁ᵗ), v̂ and n̂ alike

    The paper calls 1 - β what is called β here. optax has 1 - β₂ in place of both β₂
    that stand before d and v̂, and so hardly looks ahead; ``swap_b2`` does the same.

    Args:
      b1: β₁, how much of the mean gradient is kept at each step.
      b2: β₂, how much of the mean difference is kept, and how far to look ahead.
      b3: β₃, how much of the mean square is kept.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.
      swap_b2: whether to look ahead by 1 - β₂, as optax does.

    Raises:
      ValueError: if a decay is outside [0, 1) or an epsilon is negative.

    Reference: Xie et al., 2022, https://arxiv.org/abs/2208.06677 (Algorithm 1), with
      the authors' bias correction

    Example:
      >>> tx, params = gradtx.scale_by_adan(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2, b3=b3)
    checks.non_negative(eps=eps, eps_root=eps_root)
    ahead = 1 - b2 if swap_b2 else b2

    def rule(
        g: jax.Array,
        m: jax.Array,
        v: jax.Array,
        n: jax.Array,
        last: jax.Array,
        *,
        t: Count,
    ) -> tuple[jax.Array, ...]:
        d = jnp.where(t == 1, 0, g - last)
        m = ema(m, g, b1)
        v = ema(v, d, b2)
        n = ema(n, abs_sq(g + ahead * d), b3)
        seen = debias(m, b1, t) + ahead * debias(v, b2, t)
        last = overwrite(last, g, t == 1)
        return safe_divide(seen, sqrt(debias(n, b3, t) + eps_root) + eps), m, v, n, last

    return leafwise(rule, ScaleByAdanState, m=zeros, v=zeros, n=squares, g=zeros)


@transformation
def adan(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.98,
    b2: Scalar = 0.92,
    b3: Scalar = 0.99,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    *,
    swap_b2: bool = False,
    proximal: bool = True,
) -> GradientTransformation:
    """Adan: :func:`scale_by_adan` with the weight decay of its paper.

        p ← (p - η u) / (1 + η λ)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁, how much of the mean gradient is kept at each step.
      b2: β₂, how much of the mean difference is kept, and how far to look ahead.
      b3: β₃, how much of the mean square is kept.
      eps: ε, outside the root.
      eps_root: what is added inside the root.
      weight_decay: λ, or a schedule of it.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      swap_b2: whether to look ahead by 1 - β₂, as optax does.
      proximal: whether to divide as above; if not, p ← p - η (u + λ p), as in optax.

    Raises:
      ValueError: if a decay rate is outside [0, 1), or another number but the
        learning rate is negative.

    Reference: Xie et al., 2022, https://arxiv.org/abs/2208.06677 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.adan(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    checks.non_negative(weight_decay=weight_decay)
    if proximal:
        decay = _proximal_decay(learning_rate, weight_decay)
        decay = decay if mask is None else restrict(decay, mask)
    else:
        decay = add_decayed_weights(weight_decay, mask)
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root, swap_b2=swap_b2),
        decay,
        scale_by_learning_rate(learning_rate),
    )


def _proximal_decay(
    learning_rate: ScalarOrSchedule, weight_decay: ScalarOrSchedule
) -> GradientTransformation:
    """Return what, times -η, carries p to (p - η u) / (1 + η λ)."""
    return scheduled(_proximal, rate=learning_rate, decay=weight_decay)


def _proximal(u: jax.Array, *, p: jax.Array, rate: Scalar, decay: Scalar) -> jax.Array:
    return (u + decay * p) / (1 + rate * decay)
