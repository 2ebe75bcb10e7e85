"""RMSprop as in Keras."""

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import brought
from gradtx.like.keras.shared import OFF_AT_ZERO, framed
from gradtx.optimizers.rmsprop import rmsprop


@brought("momentum", "weight_decay", *OFF_AT_ZERO)
def RMSprop(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    rho: Scalar = 0.9,
    momentum: Scalar | None = 0.0,
    epsilon: Scalar = 1e-7,
    centered: bool = False,
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
    """RMSprop, as ``keras.optimizers.RMSprop``.

        v ← ρ v + (1 - ρ) g²
        m ← ρ m + (1 - ρ) g                   centered only
        b ← μ b + η g / √(v + ε)              or, centered, √(v - m² + ε)
        p ← p - b

    The learning rate stands inside of the momentum, and ε inside of the root. Where
    rounding makes v - m² negative, it counts as 0.

    Args: ``rho`` is ρ, ``momentum`` μ, ``epsilon`` ε, and ``centered`` says whether to
    divide by the standard deviation; the others are shared by all of
    :mod:`gradtx.like.keras`.

    Raises:
      ValueError: if a setting is out of its range.
    """
    del name

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return rmsprop(rate, rho, epsilon, centered=centered, momentum=momentum)

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
