"""SGD as in Keras."""

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import brought
from gradtx.like.keras.shared import OFF_AT_ZERO, framed
from gradtx.primitives.momentum import trace
from gradtx.primitives.scale import scale_by_learning_rate
from gradtx.wrappers.chain import chain


@brought("momentum", "weight_decay", *OFF_AT_ZERO)
def SGD(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.01,
    momentum: Scalar | None = 0.0,
    nesterov: bool = False,
    weight_decay: Scalar | None = None,
    clipnorm: Scalar | None = None,
    clipvalue: Scalar | None = None,
    global_clipnorm: Scalar | None = None,
    use_ema: bool = False,
    ema_momentum: Scalar = 0.99,
    ema_overwrite_frequency: int | None = None,
    loss_scale_factor: Scalar | None = None,
    gradient_accumulation_steps: int | None = None,
    name: str | None = None,
) -> GradientTransformation:
    """Gradient descent with momentum, as ``keras.optimizers.SGD``.

        b ← μ b - η g
        p ← p + b                             or, with Nesterov, p + μ b - η g

    The learning rate stands inside of b: a new one does not touch the history.

    Args: ``momentum`` is μ and ``nesterov`` says whether to look ahead, which without
    momentum changes nothing; the others are shared by all of :mod:`gradtx.like.keras`.

    Raises:
      ValueError: if the momentum is outside [0, 1]; for wrong shared arguments.
    """
    del name
    checks.fractions(momentum=momentum)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        downhill = scale_by_learning_rate(rate)
        return (
            downhill if momentum is None else chain(downhill, trace(momentum, nesterov))
        )

    return framed(
        method,
        learning_rate,
        weight_decay=weight_decay,
        clipnorm=clipnorm,
        clipvalue=clipvalue,
        global_clipnorm=global_clipnorm,
        use_ema=use_ema,
        ema_momentum=ema_momentum,
        ema_overwrite_frequency=ema_overwrite_frequency,
        loss_scale_factor=loss_scale_factor,
        gradient_accumulation_steps=gradient_accumulation_steps,
    )
