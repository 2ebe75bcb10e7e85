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

    Args:
      learning_rate: η, a finite number, or a schedule of the number of calls made.
      momentum: μ, in [0, 1]: how much of b is kept; None or 0 for no momentum.
      nesterov: whether to look ahead, which without momentum changes nothing.
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
