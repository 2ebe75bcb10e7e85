"""Schedule-Free SGD, AdamW and RAdam."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    debias,
    ema_of_squares,
    real_dtype,
    safe_divide,
    sqrt,
    value_at,
)
from gradtx.common.types import Count, DTypeLike, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.radam import averaged_steps, rectification
from gradtx.optimizers.rmsprop import ScaleByRmsWithCountState, scale_by_rms
from gradtx.optimizers.sgd import sgd
from gradtx.primitives.downhill import add_decayed_weights
from gradtx.wrappers.chain import chain, descend
from gradtx.wrappers.schedule_free import schedule_free


@transformation
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    warmup_steps: int | None = None,
    b1: Scalar = 0.9,
    weight_decay: ScalarOrSchedule | None = None,
    weight_lr_power: Scalar = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Schedule-Free SGD: :func:`schedule_free` around gradient descent.

        η_t = η min(1, t / T)                 t = 1 at the first step
        z ← z - η_t (∇f(y) + λ y)

    Args:
      learning_rate: η.
      warmup_steps: T, the steps in which the rate rises; None for no warmup.
      b1: β, how much the parameters are the average.
      weight_decay: λ; None for none.
      weight_lr_power: how much more a step of a higher rate weighs in the average.
      state_dtype: the type to keep z in; the parameter's if None.

    Raises:
      ValueError: if a rate or a decay is negative, or β outside (0, 1].

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682

    Example:
      >>> tx, params = gradtx.schedule_free_sgd(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    base = sgd(rate)
    if weight_decay is not None:
        base = chain(add_decayed_weights(weight_decay), base)
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


@transformation
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    warmup_steps: int | None = None,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_lr_power: Scalar = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Schedule-Free AdamW: :func:`schedule_free` around AdamW without its momentum.

        v ← β₂ v + (1 - β₂) |g|²                  g = ∇f(y)
        z ← z - η_t (g / (√(v / (1 - β₂ᵗ)) + ε) + λ y)
        η_t = η min(1, t / T)                     t = 1 at the first step

    Args:
      learning_rate: η.
      warmup_steps: T, the steps in which the rate rises; None for no warmup.
      b1: β, how much the parameters are the average.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      weight_decay: λ, multiplied by the learning rate.
      weight_lr_power: how much more a step of a higher rate weighs in the average.
      state_dtype: the type to keep z in; the parameter's if None.

    Raises:
      ValueError: if a rate, a decay or ε is negative, β outside (0, 1], or β₂ outside
        [0, 1).

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.schedule_free_adamw(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    checks.decay_rates(b2=b2)
    rate = _warmed_up(learning_rate, warmup_steps)
    direction = scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True)
    base = descend(direction, rate, weight_decay=weight_decay)
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


def _warmed_up(rate: ScalarOrSchedule, steps: int | None) -> ScalarOrSchedule:
    checks.non_negative(learning_rate=rate, warmup_steps=steps)
    if not steps:
        return rate

    def warmed_up(count: Count) -> Any:
        rise = jnp.minimum(1.0, (jnp.asarray(count) + 1.0) / steps)
        return value_at(rate, count) * rise

    return warmed_up


# --- RAdam -------------------------------------------------------------------

_KNOWN = 4  # where ρ is more, the mean square has a variance


@transformation
def schedule_free_radam(
    learning_rate: ScalarOrSchedule = 0.0025,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_lr_power: Scalar = 2.0,
    state_dtype: DTypeLike | None = None,
    *,
    weight_step_power: Scalar = 0.0,
    silent_sgd_phase: bool = True,
) -> GradientTransformation:
    """Schedule-Free RAdam: :func:`schedule_free` around RAdam without its momentum.

        v ← β₂ v + (1 - β₂) |g|²                  g = ∇f(y)
        z ← z - η_t (d + λ y)
        d = g / (√(v / (1 - β₂ᵗ)) + ε),  η_t = r η    where ρ > 4,  else d = g, η_t = 0

    r and ρ are those of :func:`scale_by_radam`. Through r the rate rises by itself, so
    that there is nothing to set for a warmup.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β, how much the parameters are the average.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      weight_decay: λ, multiplied by η_t.
      weight_lr_power: how much more a step of a higher rate η_t weighs in the average.
      state_dtype: the type to keep z in; the parameter's if None.
      weight_step_power: how much more a later step weighs in the average.
      silent_sgd_phase: whether nothing moves before the mean square is known; if not,
        η_t = η there, and the first steps are those of gradient descent.

    Raises:
      ValueError: if a rate, a decay, a power or ε is negative, β outside (0, 1], or β₂
        outside [0, 1).

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682; Liu et al., 2020,
      https://arxiv.org/abs/1908.03265

    Example:
      >>> tx, params = gradtx.schedule_free_radam(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.  0.]
    """
    checks.decay_rates(b2=b2)
    checks.non_negative(learning_rate=learning_rate, eps=eps)
    early = 0.0 if silent_sgd_phase else 1.0

    def rate(count: Count) -> Any:
        rho, known = _knowledge(b2, jnp.asarray(count) + 1, jnp.result_type(float))
        r = jnp.where(known, rectification(rho, b2, known), early)
        return value_at(learning_rate, count) * r

    base = descend(_scale_by_known_rms(b2, eps), rate, weight_decay=weight_decay)
    return schedule_free(
        base,
        rate,
        b1,
        weight_lr_power,
        state_dtype,
        weight_step_power=weight_step_power,
    )


def _scale_by_known_rms(b2: Scalar, eps: Scalar) -> GradientTransformation:
    """Divide by the root mean square from where on it is known, and not before."""

    def rule(g: jax.Array, v: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        v = ema_of_squares(v, g, b2)
        _, known = _knowledge(b2, t, real_dtype(g.dtype))
        divided = safe_divide(g, sqrt(debias(v, b2, t)) + eps)
        return jnp.where(known, divided, g), v

    return leafwise(rule, ScaleByRmsWithCountState, nu=squares)


def _knowledge(b2: Scalar, t: Count, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
    """Return ρ, and whether it is long enough."""
    rho = averaged_steps(b2, t, dtype)
    return rho, rho > _KNOWN
