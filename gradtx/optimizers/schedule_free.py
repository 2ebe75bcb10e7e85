"""Schedule-Free SGD and AdamW."""

from typing import Any

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import value_at
from gradtx.common.types import Count, DTypeLike, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.rmsprop import scale_by_rms
from gradtx.optimizers.sgd import sgd
from gradtx.primitives.decay import add_decayed_weights
from gradtx.wrappers.chain import chain
from gradtx.wrappers.descend import descend
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
