"""Adam and AdamW as in Keras."""

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.adam_rule import scale_by_raw_adam
from gradtx.like.brought import brought
from gradtx.like.keras.shared import OFF_AT_ZERO, framed
from gradtx.wrappers.descend import descend


@brought("weight_decay", *OFF_AT_ZERO)
def Adam(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
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
    """Adam, as ``keras.optimizers.Adam``.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        p ← p - η m √(1 - β₂ᵗ) / (1 - β₁ᵗ) / (√v + ε̂)

    The ε̂ of this form is not that of Algorithm 1: ε = ε̂ / √(1 - β₂ᵗ). With ``amsgrad``
    w ← max(w, v) stands for v.

    Args: ``beta_1`` is β₁, ``beta_2`` β₂, ``epsilon`` ε̂, and ``amsgrad`` says whether
    the divisor may only grow; the others are shared by all of
    :mod:`gradtx.like.keras`.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980 (section 2, end)
    """
    del name
    direction = scale_by_raw_adam(beta_1, beta_2, epsilon, amsgrad, eps_hat=True)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return descend(direction, rate)

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


@brought(*OFF_AT_ZERO)
def AdamW(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    weight_decay: Scalar | None = 0.004,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
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
    """AdamW, as ``keras.optimizers.AdamW``: :func:`Adam` with another default.

    Every optimizer of Keras decays beside the gradient, so that this one differs from
    Adam in the order of the arguments and in ``weight_decay`` only, which may not be
    None.

    Args: those of :func:`Adam`.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101
    """
    if weight_decay is None:
        raise checks.Misuse("weight_decay must be a number here: use Adam without it")
    return Adam(
        learning_rate,
        beta_1,
        beta_2,
        epsilon,
        amsgrad,
        weight_decay,
        clipnorm,
        clipvalue,
        global_clipnorm,
        use_ema,
        ema_momentum,
        ema_overwrite_frequency,
        loss_scale_factor,
        gradient_accumulation_steps,
        name,
    )
