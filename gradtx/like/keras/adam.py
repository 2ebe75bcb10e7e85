"""Adam and AdamW as in Keras."""

from typing import Unpack

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.adam_rule import scale_by_raw_adam
from gradtx.like.keras.shared import Frame, Shared, like_keras, with_keras_options
from gradtx.wrappers.chain import descend


@like_keras()
def Adam(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Adam, as ``keras.optimizers.Adam``.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        p ← p - η m √(1 - β₂ᵗ) / (1 - β₁ᵗ) / (√v + ε̂)

    The ε̂ of this form is not that of Algorithm 1: ε = ε̂ / √(1 - β₂ᵗ). With ``amsgrad``
    w ← max(w, v) stands for v.

    Args:
      learning_rate: η, or a schedule.
      beta_1: β₁ in [0, 1).
      beta_2: β₂ in [0, 1).
      epsilon: ε̂, at least 0.
      amsgrad: whether the divisor may only grow.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980 (section 2, end)

    Example:
      >>> tx, params = gradtx.like.keras.Adam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    direction = scale_by_raw_adam(beta_1, beta_2, epsilon, amsgrad, eps_hat=True)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return descend(direction, rate)

    return with_keras_options(
        method,
        learning_rate,
        **shared,
    )


@like_keras()
def AdamW(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    weight_decay: Scalar | None = 0.004,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
    **shared: Unpack[Frame],
) -> GradientTransformation:
    """AdamW, as ``keras.optimizers.AdamW``: :func:`Adam` with another default.

    Every optimizer of Keras decays beside the gradient, so that this one differs from
    Adam in the order of the arguments and in ``weight_decay`` only, which may not be
    None.

    Args:
      learning_rate: η, or a schedule.
      weight_decay: λ; p ← (1 - η λ) p before the step.
      beta_1: β₁ in [0, 1).
      beta_2: β₂ in [0, 1).
      epsilon: ε̂, at least 0.
      amsgrad: whether the divisor may only grow.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101

    Example:
      >>> tx, params = gradtx.like.keras.AdamW(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    if weight_decay is None:
        raise checks.InvalidArgument(
            "weight_decay must be a number here: use Adam without it"
        )
    return Adam(
        learning_rate,
        beta_1,
        beta_2,
        epsilon,
        amsgrad,
        weight_decay=weight_decay,
        **shared,
    )
