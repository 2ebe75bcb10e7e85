"""AdaBelief: trust a gradient as far as it was expected."""

from functools import partial
from typing import NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import debias, mix, mix_squares, ratio, sqrt
from gradtx.common.types import (
    Count,
    DTypeLike,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import nesterov_mean
from gradtx.wrappers.descend import descend


class ScaleByBeliefState(NamedTuple):
    """What :func:`scale_by_belief` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # s, the mean squared surprise


@transformation
def scale_by_belief(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
    *,
    nesterov: bool = False,
    mu_dtype: DTypeLike | None = None,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the mean gradient by how much the gradients surprise it.

        m ← β₁ m + (1 - β₁) g
        s ← β₂ s + (1 - β₂) |g - m|² + ε_root
        u = m̂ / (√ŝ + ε)            with m̂ = m / (1 - β₁ᵗ),  ŝ = s / (1 - β₂ᵗ)

    Where Adam divides by the size of the gradient, this divides by its distance from
    the expected one. On a gradient that never changes the distance vanishes and the
    step grows like β₂^(-t/2); gradients clipped by entry are of that kind.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean squared surprise is kept.
      eps: ε, outside the root.
      eps_root: ε_root, added to s at every step, so that s settles ε_root / (1 - β₂)
        higher.
      nesterov: whether the mean looks one step ahead, as in :func:`scale_by_adam`.
      mu_dtype: the type to keep m in; the parameter's if None.
      nu_dtype: the type to keep s in; if None the parameter's, and float32 for
        half-precision parameters.

    Raises:
      ValueError: if a decay is outside [0, 1) or an epsilon is negative.

    Reference: Zhuang et al., 2020, https://arxiv.org/abs/2010.07468 (Algorithm 2)
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, eps_root=eps_root)

    def rule(
        g: jax.Array, m: jax.Array, s: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = mix(m, g, b1)
        s = mix_squares(s, g - m, b2) + eps_root
        mean = nesterov_mean(g, m, b1, t) if nesterov else debias(m, b1, t)
        return ratio(mean, sqrt(debias(s, b2, t)) + eps), m, s

    return leafwise(
        rule,
        ScaleByBeliefState,
        mu=partial(zeros, dtype=mu_dtype),
        nu=partial(squares, dtype=nu_dtype),
    )


@transformation
def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
    weight_decay: ScalarOrSchedule | None = None,
    weight_decay_mask: MaskOrFn | None = None,
    *,
    nesterov: bool = False,
    mu_dtype: DTypeLike | None = None,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """AdaBelief: :func:`scale_by_belief` made an optimizer by :func:`descend`."""
    direction = scale_by_belief(
        b1,
        b2,
        eps,
        eps_root,
        nesterov=nesterov,
        mu_dtype=mu_dtype,
        nu_dtype=nu_dtype,
    )
    return descend(
        direction, learning_rate, weight_decay=weight_decay, mask=weight_decay_mask
    )
