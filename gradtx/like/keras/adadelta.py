"""Adadelta as in Keras."""

from typing import Unpack

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.optimizers.adadelta import scale_by_adadelta
from gradtx.wrappers.chain import descend


@like_keras()
def Adadelta(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    rho: Scalar = 0.95,
    epsilon: Scalar = 1e-7,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Adadelta, as ``keras.optimizers.Adadelta``.

        G ← ρ G + (1 - ρ) g²
        u = g √(X + ε) / √(G + ε)
        X ← ρ X + (1 - ρ) u²
        p ← p - η u

    Args:
      learning_rate: η, or a schedule.
      rho: ρ in [0, 1).
      epsilon: ε, at least 0, inside of the roots.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Zeiler, 2012, https://arxiv.org/abs/1212.5701

    Example:
      >>> tx, params = gradtx.like.keras.Adadelta(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-1.4e-06  1.4e-06]
    """

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return descend(scale_by_adadelta(rho, epsilon), rate)

    return with_keras_options(method, learning_rate, **shared)
