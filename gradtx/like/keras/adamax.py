"""Adamax as in Keras."""

from typing import Unpack

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import debias, ema, safe_divide
from gradtx.common.types import Count, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.tree.norms import modulus
from gradtx.wrappers.chain import descend


@like_keras()
def Adamax(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Adamax, as ``keras.optimizers.Adamax``.

        m ← β₁ m + (1 - β₁) g
        u ← max(β₂ u, |g|)
        p ← p - η m / (1 - β₁ᵗ) / (u + ε)

    Args:
      learning_rate: η, or a schedule.
      beta_1: β₁ in [0, 1).
      beta_2: β₂ in [0, 1).
      epsilon: ε, at least 0.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.like.keras.Adamax(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    checks.decay_rates(beta_1=beta_1, beta_2=beta_2)
    checks.non_negative(epsilon=epsilon)

    def rule(
        g: jax.Array, m: jax.Array, u: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, beta_1)
        u = jnp.maximum(beta_2 * u, modulus(g))
        return safe_divide(debias(m, beta_1, t), u + epsilon), m, u

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        return descend(leafwise(rule, ScaleByAdamState, mu=zeros, nu=squares), rate)

    return with_keras_options(method, learning_rate, **shared)
