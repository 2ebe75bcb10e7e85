"""Lion as in Keras."""

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import brought
from gradtx.like.keras.shared import OFF_AT_ZERO, framed
from gradtx.optimizers.lion import sign_momentum
from gradtx.wrappers.descend import descend


@brought("weight_decay", *OFF_AT_ZERO)
def Lion(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.99,
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
    """Lion, as ``keras.optimizers.Lion``.

        p ← p - η sign(β₁ m + (1 - β₁) g)
        m ← β₂ m + (1 - β₂) g

    Args: ``beta_1`` is β₁ and ``beta_2`` β₂; the others are shared by all of
    :mod:`gradtx.like.keras`.

    Raises:
      ValueError: if ``beta_1`` is outside (0, 1), or another setting out of its range.
    """
    del name
    checks.positive(beta_1=beta_1)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return descend(sign_momentum(beta_1, beta_2), rate)

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
