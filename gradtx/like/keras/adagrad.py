"""Adagrad as in Keras."""

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import brought
from gradtx.like.keras.shared import OFF_AT_ZERO, framed
from gradtx.optimizers.adagrad import adagrad


@brought("weight_decay", *OFF_AT_ZERO)
def Adagrad(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    initial_accumulator_value: Scalar = 0.1,
    epsilon: Scalar = 1e-7,
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
    """Adagrad, as ``keras.optimizers.Adagrad``.

        G ← G + g²
        p ← p - η g / √(G + ε)

    Args: ``initial_accumulator_value`` is what G starts from, ``epsilon`` is ε; the
    others are shared by all of :mod:`gradtx.like.keras`.

    Raises:
      ValueError: if a setting is out of its range.
    """
    del name

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return adagrad(rate, initial_accumulator_value, epsilon)

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
