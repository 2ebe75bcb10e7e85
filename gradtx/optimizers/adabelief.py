"""AdaBelief: trust a gradient as far as it was expected."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    debias,
    ema,
    ema_of_squares,
    real_dtype,
    safe_divide,
    sqrt,
)
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
from gradtx.optimizers.radam import averaged_steps, rectification
from gradtx.wrappers.chain import descend


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
    rectify: bool = False,
    threshold: Scalar = 5.0,
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

    With ``rectify`` the first steps do not divide, and those after them are shortened
    as in :func:`scale_by_radam`, as s is not known yet:

        u = r m̂ / (√ŝ + ε)  where ρ ≥ threshold,  u = m̂ before

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean squared surprise is kept.
      eps: ε, outside the root.
      eps_root: ε_root, added to s at every step, so that s settles ε_root / (1 - β₂)
        higher.
      nesterov: whether the mean looks one step ahead, as in :func:`scale_by_adam`.
      rectify: whether to rectify.
      threshold: what ρ must reach, if so; at least 4.
      mu_dtype: the type to keep m in; the parameter's if None.
      nu_dtype: the type to keep s in; if None the parameter's, and float32 for
        half-precision parameters.

    Raises:
      ValueError: if a decay is outside [0, 1) an epsilon is negative, or the
        threshold is below 4.

    Reference: Zhuang et al., 2020, https://arxiv.org/abs/2010.07468 (Algorithm 2); Liu
      et al., 2020, https://arxiv.org/abs/1908.03265 (rectification)

    Example:
      >>> tx, params = gradtx.scale_by_belief(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1.1110001 -1.1110001]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, eps_root=eps_root)
    checks.at_least(4, threshold=threshold)

    def rule(
        g: jax.Array, m: jax.Array, s: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        s = ema_of_squares(s, g - m, b2) + eps_root
        mean = nesterov_mean(g, m, b1, t) if nesterov else debias(m, b1, t)
        u = safe_divide(mean, sqrt(debias(s, b2, t)) + eps)
        if rectify:
            rho = averaged_steps(b2, t, real_dtype(g.dtype))
            trusted = rho >= threshold
            u = jnp.where(trusted, rectification(rho, b2, trusted) * u, mean)
        return u, m, s

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
    rectify: bool = False,
    threshold: Scalar = 5.0,
    mu_dtype: DTypeLike | None = None,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """AdaBelief: :func:`scale_by_belief` made an optimizer by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean squared surprise is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, added to the mean squared surprise at every step.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken; None
        leaves the decay out.
      weight_decay_mask: which leaves decay: a tree of booleans, or a function from the
        parameters to one. All do, if None.
      nesterov: whether the mean looks one step ahead, as in :func:`scale_by_adam`.
      rectify: whether to rectify the first steps, as in :func:`scale_by_radam`.
      threshold: over how many steps the squares must have been averaged before they
        divide, if so; at least 4.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      nu_dtype: the type to keep s, the mean squared surprise, in; if None the
        parameter's, and float32 for half-precision parameters.

    Example:
      >>> tx, params = gradtx.adabelief(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.11100001  0.11100001]
    """
    direction = scale_by_belief(
        b1,
        b2,
        eps,
        eps_root,
        nesterov=nesterov,
        rectify=rectify,
        threshold=threshold,
        mu_dtype=mu_dtype,
        nu_dtype=nu_dtype,
    )
    return descend(
        direction, learning_rate, weight_decay=weight_decay, mask=weight_decay_mask
    )
