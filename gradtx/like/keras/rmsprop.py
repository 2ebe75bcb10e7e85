"""RMSprop as in Keras."""

from typing import Unpack

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.optimizers.rmsprop import rmsprop


@like_keras("momentum")
def RMSprop(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    rho: Scalar = 0.9,
    momentum: Scalar | None = 0.0,
    epsilon: Scalar = 1e-7,
    centered: bool = False,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """RMSprop, as ``keras.optimizers.RMSprop``.

        v ← ρ v + (1 - ρ) g²
        m ← ρ m + (1 - ρ) g                   centered only
        b ← μ b + η g / √(v + ε)              or, centered, √(v - m² + ε)
        p ← p - b

    The learning rate stands inside of the momentum, and ε inside of the root. Where
    rounding makes v - m² negative, it counts as 0.

    Args:
      learning_rate: η, or a schedule.
      rho: ρ in [0, 1).
      momentum: μ in [0, 1].
      epsilon: ε, at least 0, inside of the root.
      centered: whether to divide by the standard deviation.

    Raises:
      ValueError: if a setting is out of its range.

    Example:
      >>> tx, params = gradtx.like.keras.RMSprop(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.003  0.003]
    """

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return rmsprop(rate, rho, epsilon, centered=centered, momentum=momentum)

    return with_keras_options(
        method,
        learning_rate,
        **shared,
    )
