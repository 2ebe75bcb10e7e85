"""SGD as in Keras."""

from typing import Unpack

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.primitives.momentum import trace
from gradtx.wrappers.chain import chain


@like_keras("momentum")
def SGD(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.01,
    momentum: Scalar | None = 0.0,
    nesterov: bool = False,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Gradient descent with momentum, as ``keras.optimizers.SGD``.

        b ← μ b - η g
        p ← p + b                             or, with Nesterov, p + μ b - η g

    The learning rate stands inside of b: a new one does not touch the history.

    Args:
      learning_rate: η, or a schedule.
      momentum: μ in [0, 1].
      nesterov: whether to look ahead, which without momentum changes nothing.

    Raises:
      ValueError: if the momentum is outside [0, 1]; for wrong shared arguments.

    Example:
      >>> tx, params = gradtx.like.keras.SGD(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.02  0.01]
    """
    checks.unit_interval(momentum=momentum)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        downhill = scale_by_learning_rate(rate)
        return (
            downhill if momentum is None else chain(downhill, trace(momentum, nesterov))
        )

    return with_keras_options(
        method,
        learning_rate,
        **shared,
    )
