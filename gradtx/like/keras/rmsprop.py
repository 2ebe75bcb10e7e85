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

    Args:
      learning_rate: η, a finite number, or a schedule of the number of calls made.
      rho: ρ, in [0, 1): how much of the means is kept at each step.
      momentum: μ, in [0, 1]: how much of b is kept; None or 0 for no momentum.
      epsilon: ε, at least 0, inside of the root.
      centered: whether to divide by the standard deviation.
      weight_decay: λ, a finite number: p ← (1 - η λ) p before the step; None or 0 for
        no decay.
      clipnorm: the largest norm of each leaf's gradient, at least 0; None or 0 for no
        bound. At most one of the three bounds may be given.
      clipvalue: the largest size of each entry of the gradients, at least 0; None or 0
        for no bound.
      global_clipnorm: the largest norm of all gradients together, at least 0, which
        makes everything NaN if it is not finite; None or 0 for no bound.
      use_ema: whether to keep a running mean of the parameters, which
        :func:`gradtx.eval_params` finds.
      ema_momentum: how much of that mean is kept at each step, in [0, 1].
      ema_overwrite_frequency: how many steps apart the mean takes the place of the
        parameters, a whole number; None or 0 for never.
      loss_scale_factor: is refused unless None, as nothing here scales the loss.
      gradient_accumulation_steps: how many calls make a step, with the mean of their
        gradients, a whole number of at least 2; None or 0 for a step at each call.
      name: is shown when the transformation is printed, and does nothing.

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
