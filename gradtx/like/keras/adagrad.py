"""Adagrad as in Keras."""

from typing import Unpack

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.optimizers.adagrad import adagrad


@like_keras()
def Adagrad(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    initial_accumulator_value: Scalar = 0.1,
    epsilon: Scalar = 1e-7,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Adagrad, as ``keras.optimizers.Adagrad``.

        G ← G + g²
        p ← p - η g / √(G + ε)

    Args:
      learning_rate: η, or a schedule.
      initial_accumulator_value: what G starts from, at least 0.
      epsilon: ε, at least 0, inside of the root.

    Raises:
      ValueError: if a setting is out of its range.

    Example:
      >>> tx, params = gradtx.like.keras.Adagrad(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return adagrad(rate, initial_accumulator_value, epsilon)

    return with_keras_options(
        method,
        learning_rate,
        **shared,
    )
