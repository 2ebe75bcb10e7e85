"""Lion as in Keras."""

from typing import Unpack

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.optimizers.lion import sign_momentum
from gradtx.wrappers.chain import descend


@like_keras()
def Lion(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.99,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Lion, as ``keras.optimizers.Lion``.

        p ← p - η sign(β₁ m + (1 - β₁) g)
        m ← β₂ m + (1 - β₂) g

    Args:
      learning_rate: η, or a schedule.
      beta_1: β₁ in (0, 1).
      beta_2: β₂ in [0, 1).

    Raises:
      ValueError: if ``beta_1`` is outside (0, 1), or another setting out of its range.

    Example:
      >>> tx, params = gradtx.like.keras.Lion(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    checks.positive(beta_1=beta_1)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return descend(sign_momentum(beta_1, beta_2), rate)

    return with_keras_options(
        method,
        learning_rate,
        **shared,
    )
