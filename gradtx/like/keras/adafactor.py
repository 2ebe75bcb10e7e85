"""Adafactor as in Keras."""

from typing import Unpack

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.factored import factored_step
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options


@like_keras()
def Adafactor(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_2_decay: Scalar = -0.8,
    epsilon_1: Scalar = 1e-30,
    epsilon_2: Scalar = 1e-3,
    clip_threshold: Scalar = 1.0,
    relative_step: bool = True,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Adafactor, as ``keras.optimizers.Adafactor``.

        β = 1 - t^c
        R ← β R + (1 - β) mean(g² + ε₁, over the last axis),   C over the last but one
        V = R C / mean(R)                    V ← β V + (1 - β) (g² + ε₁) in vectors
        u = g / √V
        α = max(ε₂, rms(p)) min(η, 1 / √t)
        p ← p - α u / max(1, rms(u) / d)

    Args:
      learning_rate: η, or a schedule; the largest relative step.
      beta_2_decay: c, below 0.
      epsilon_1: ε₁, at least 0, added to the squares.
      epsilon_2: ε₂, at least 0, the least size of a parameter.
      clip_threshold: d, above 0.
      relative_step: has no effect, as in Keras, where the step is relative either way.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235

    Example:
      >>> tx, params = gradtx.like.keras.Adafactor(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    del relative_step

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return factored_step(
            rate,
            beta_2_decay,
            clip_threshold,
            added=epsilon_1,
            least=0.0,
            least_scale=epsilon_2,
        )

    return with_keras_options(method, learning_rate, sees_decay=True, **shared)
