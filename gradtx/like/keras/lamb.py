"""LAMB as in Keras."""

from typing import Unpack

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.optimizers.lamb import lamb


@like_keras()
def Lamb(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """LAMB, as ``keras.optimizers.Lamb``.

        r = m̂ / (√v̂ + ε)                    m̂ and v̂ as in Adam
        p ← p - η r ‖p‖ / ‖r‖               p - η r where ‖p‖ or ‖r‖ is 0

    The weight decay stands before the step, and not in r.

    Args:
      learning_rate: η, or a schedule.
      beta_1: β₁ in [0, 1).
      beta_2: β₂ in [0, 1).
      epsilon: ε, at least 0, outside of the root.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: You et al., 2020, https://arxiv.org/abs/1904.00962

    Example:
      >>> tx, params = gradtx.like.keras.Lamb(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return lamb(rate, beta_1, beta_2, epsilon)

    return with_keras_options(method, learning_rate, sees_decay=True, **shared)
