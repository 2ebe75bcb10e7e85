"""RAdam: Adam that divides only once its mean square can be trusted."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    one_minus,
    one_minus_power,
    real_dtype,
    safe_divide,
    sqrt,
)
from gradtx.common.types import Count, DTypeLike, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import ScaleByAdamState, nesterov_mean
from gradtx.wrappers.chain import descend


@transformation
def scale_by_radam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    threshold: Scalar = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Scale by Adam's divisor, less at first, and not at all at the very first.

        m ← β₁ m + (1 - β₁) g,     v ← β₂ v + (1 - β₂) |g|²
        ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)             ρ∞ = 2 / (1 - β₂) - 1
        r = √((ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ))
        u = r m̂ / (√(v̂ + ε_root) + ε)  where ρ ≥ threshold,  u = m̂ before

    ρ is over how many steps the squares have been averaged, nearly t at first.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.
      threshold: what ρ must reach; the paper has 4, its authors' code 5.
      nesterov: whether the mean looks one step ahead, as in :func:`scale_by_adam`.

    Raises:
      ValueError: if a decay is outside [0, 1), an epsilon is negative, or the threshold
        is below 4, where the variance is not defined.

    Reference: Liu et al., 2020, https://arxiv.org/abs/1908.03265 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_radam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, eps_root=eps_root)
    checks.at_least(4, threshold=threshold)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        v = ema(v, abs_sq(g), b2)
        mean = nesterov_mean(g, m, b1, t) if nesterov else debias(m, b1, t)
        adam = safe_divide(mean, sqrt(debias(v, b2, t) + eps_root) + eps)
        rho = averaged_steps(b2, t, real_dtype(g.dtype))
        trusted = rho >= threshold
        return jnp.where(trusted, rectification(rho, b2, trusted) * adam, mean), m, v

    return leafwise(rule, ScaleByAdamState, mu=zeros, nu=squares)


def averaged_steps(b2: Scalar, t: Count, dtype: DTypeLike) -> jax.Array:
    """Return ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ), without the difference of large numbers.

    With y = -log β₂ / 2 it is coth(y) - t coth(t y) + t, of which all that is large
    cancels: ρ = t + L(y) - t L(t y) for L(y) = coth(y) - 1 / y.
    """
    y = -jnp.log1p(jnp.asarray(-one_minus_power(b2, 1, dtype))) / 2
    t = jnp.asarray(t).astype(dtype)
    small = t + _langevin(y) - t * _langevin(t * y)
    c = one_minus_power(b2, t, dtype)
    large = (1 + b2) / one_minus(b2) - 2 * t * (1 - c) / c
    return jnp.where(t * y < 1, small, large)


def _langevin(y: jax.Array) -> jax.Array:
    """Return coth(y) - 1 / y, by its series where y is small."""
    small = y < 0.1  # noqa: PLR2004
    x, z = jnp.where(small, 1, y), jnp.where(small, y, 0)
    series = z / 3 - z**3 / 45 + 2 * z**5 / 945 - z**7 / 4725
    return jnp.where(small, series, 1 / jnp.tanh(x) - 1 / x)


def rectification(rho: jax.Array, b2: Scalar, trusted: jax.Array) -> jax.Array:
    """Return r, where it is defined."""
    last = (1 + b2) / one_minus(b2)
    rho = jnp.where(trusted, rho, 5)
    above = (rho - 4) * (rho - 2) * last
    below = (last - 4) * (last - 2) * rho
    return sqrt(jnp.where(trusted, above / jnp.where(trusted, below, 1), 0))


@transformation
def radam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    threshold: Scalar = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """RAdam: :func:`scale_by_radam` made an optimizer by :func:`descend`.

    The rectification does what a warm-up of the learning rate does for Adam.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      threshold: over how many steps the squares must have been averaged before they
        divide, at least 4, as in the paper; its authors' code has 5.
      nesterov: whether the mean looks one step ahead, as in :func:`scale_by_adam`.

    Example:
      >>> tx, params = gradtx.radam(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    direction = scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov)
    return descend(direction, learning_rate)
