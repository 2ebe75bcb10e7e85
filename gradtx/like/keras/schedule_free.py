"""Schedule-Free AdamW as in Keras."""

from typing import Unpack

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.optimizers.schedule_free import schedule_free_adamw


@like_keras()
def ScheduleFreeAdamW(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.0025,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    warmup_steps: int = 0,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Schedule-Free AdamW, as ``keras.optimizers.ScheduleFreeAdamW``.

        y = (1 - β₁) z + β₁ x                the parameters, where gradients are taken
        v ← β₂ v + (1 - β₂) g²
        z ← z - η min(1, t / T) g / (√(v / (1 - β₂ᵗ)) + ε)
        x ← (1 - 1 / t) x + z / t

    :func:`gradtx.eval_params` finds x, the weights to evaluate with. Every step weighs
    the same in it, whatever its learning rate.

    Args:
      learning_rate: η, or a schedule.
      beta_1: β₁ in (0, 1].
      beta_2: β₂ in [0, 1).
      epsilon: ε, at least 0, outside of the root.
      warmup_steps: T, at least 0, in how many steps the rate rises.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682

    Example:
      >>> tx, params = gradtx.like.keras.ScheduleFreeAdamW(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.002  0.002]
    """
    checks.non_negative(warmup_steps=warmup_steps)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return schedule_free_adamw(
            rate, warmup_steps, beta_1, beta_2, epsilon, weight_lr_power=0.0
        )

    return with_keras_options(method, learning_rate, sees_decay=True, **shared)
