"""Nadam as in Keras."""

from typing import Unpack

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.like.nadam_rule import scale_by_rising_nadam
from gradtx.wrappers.chain import descend


@like_keras()
def Nadam(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Nadam, as ``keras.optimizers.Nadam``.

        m ← β₁ m + (1 - β₁) g,    v ← β₂ v + (1 - β₂) g²
        μₜ = β₁ (1 - ½ 0.96ᵗ),    Πₜ = μ₁ ⋯ μₜ
        m̂ = μₜ₊₁ m / (1 - Πₜ₊₁) + (1 - μₜ) g / (1 - Πₜ)
        p ← p - η m̂ / (√(v / (1 - β₂ᵗ)) + ε)

    Args:
      learning_rate: η, or a schedule.
      beta_1: β₁ in [0, 1).
      beta_2: β₂ in [0, 1).
      epsilon: ε, at least 0, outside of the root.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Example:
      >>> tx, params = gradtx.like.keras.Nadam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    direction = scale_by_rising_nadam(beta_1, beta_2, epsilon, 1.0)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return descend(direction, rate)

    return with_keras_options(method, learning_rate, **shared)
