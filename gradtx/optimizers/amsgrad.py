"""AMSGrad: Adam whose divisor never shrinks."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, debias, ema, safe_divide, sqrt
from gradtx.common.types import (
    Count,
    DTypeLike,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.wrappers.chain import descend


class ScaleByAmsgradState(NamedTuple):
    """What :func:`scale_by_amsgrad` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of their squares
    nu_max: SecondMoment  # w, the largest v so far


@transformation
def scale_by_amsgrad(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    nu_dtype: DTypeLike | None = None,
    max_of_corrected: bool = False,
) -> GradientTransformation:
    """Divide the mean gradient by the root of the largest mean square so far.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) |g|²
        w ← max(w, v)
        u = m̂ / (√(ŵ + ε_root) + ε)      with m̂ = m / (1 - β₁ᵗ),  ŵ = w / (1 - β₂ᵗ)

    The paper has no bias corrections; with both this is PyTorch's. optax takes the
    maximum of v / (1 - β₂ᵗ), which the first gradients make large for ever;
    ``max_of_corrected`` does the same.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.
      mu_dtype: the type to keep m in; the parameter's if None.
      bias_correction_mu: whether to divide m by 1 - β₁ᵗ.
      bias_correction_nu: whether to divide w by 1 - β₂ᵗ.
      nu_dtype: the type to keep v and w in; if None the parameter's, and float32 for
        half-precision parameters.
      max_of_corrected: whether w is the maximum of v / (1 - β₂ᵗ), if v is corrected.

    Raises:
      ValueError: if a decay is outside [0, 1) or an epsilon is negative.

    Reference: Reddi et al., 2018, https://openreview.net/forum?id=ryQu7f-RZ
      (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_amsgrad(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, eps_root=eps_root)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, w: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        v = ema(v, abs_sq(g), b2)
        mean = debias(m, b1, t) if bias_correction_mu else m
        early = bias_correction_nu and max_of_corrected
        w = jnp.maximum(w, debias(v, b2, t) if early else v)
        square = debias(w, b2, t) if bias_correction_nu and not early else w
        return safe_divide(mean, sqrt(square + eps_root) + eps), m, v, w

    slot = partial(squares, dtype=nu_dtype)
    return leafwise(
        rule,
        ScaleByAmsgradState,
        mu=partial(zeros, dtype=mu_dtype),
        nu=slot,
        nu_max=slot,
    )


@transformation
def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    nu_dtype: DTypeLike | None = None,
    max_of_corrected: bool = False,
) -> GradientTransformation:
    """AMSGrad: :func:`scale_by_amsgrad` made an optimizer by :func:`descend`.

    A large gradient is remembered for ever, so that steps can only shrink; this repairs
    Adam's proof of convergence.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      bias_correction_mu: whether to divide m by 1 - β₁ᵗ.
      bias_correction_nu: whether to divide w, the largest mean square, by 1 - β₂ᵗ.
      nu_dtype: the type to keep v, the mean square, and w, the largest, in; if None the
        parameter's, and float32 for half-precision parameters.
      max_of_corrected: whether w is the maximum of v / (1 - β₂ᵗ), if v is corrected.

    Example:
      >>> tx, params = gradtx.amsgrad(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_amsgrad(
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype,
        bias_correction_mu,
        bias_correction_nu,
        nu_dtype=nu_dtype,
        max_of_corrected=max_of_corrected,
    )
    return descend(direction, learning_rate)
