"""Ftrl as in Keras."""

from functools import partial
from typing import NamedTuple, Unpack

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, safe_divide, value_at
from gradtx.common.types import (
    Count,
    Exact,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, wide_zeros
from gradtx.core.transformation import GradientTransformation
from gradtx.like.keras.shared import Shared, like_keras, with_keras_options


class FtrlState(NamedTuple):
    """What :func:`Ftrl` remembers."""

    count: Count
    accumulator: SecondMoment  # n, the sum of the squared gradients
    linear: Exact  # z, from which the parameters are made


@like_keras()
def Ftrl(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    learning_rate_power: Scalar = -0.5,
    initial_accumulator_value: Scalar = 0.1,
    l1_regularization_strength: Scalar = 0.0,
    l2_regularization_strength: Scalar = 0.0,
    l2_shrinkage_regularization_strength: Scalar = 0.0,
    beta: Scalar = 0.0,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Follow the regularized leader, as ``keras.optimizers.Ftrl``.

        n' = n + g²
        z ← z + g + 2 s p - (n'^-q - n^-q) / η p
        p ← (clip(z, ±l₁) - z) / (n'^-q / η + 2 l₂ + β / η)
        n ← n'

    The parameters are made of z alone: where there has been no gradient yet they become
    0, as in Keras. With η = 0 they stay.

    Args:
      learning_rate: η, or a schedule.
      learning_rate_power: q, at most 0.
      initial_accumulator_value: what n starts from, at least 0.
      l1_regularization_strength: l₁, at least 0.
      l2_regularization_strength: l₂, at least 0.
      l2_shrinkage_regularization_strength: s, at least 0.
      beta: β, at least 0.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: McMahan et al., 2013, https://doi.org/10.1145/2487575.2488200

    Example:
      >>> tx, params = gradtx.like.keras.Ftrl(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.157      -0.30100003]
    """
    l1, l2 = l1_regularization_strength, l2_regularization_strength
    checks.non_negative(
        initial_accumulator_value=initial_accumulator_value,
        l1_regularization_strength=l1,
        l2_regularization_strength=l2,
        l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
        beta=beta,
        **{"-learning_rate_power": -learning_rate_power},
    )
    power, extra = -learning_rate_power, 2 * l2_shrinkage_regularization_strength

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        def rule(
            g: jax.Array, n: jax.Array, z: jax.Array, *, t: Count, p: jax.Array
        ) -> tuple[jax.Array, ...]:
            eta = jnp.asarray(value_at(rate, t - 1), n.dtype)
            new = n + abs_sq(g)
            z = z + g + extra * p - safe_divide(new**power - n**power, eta) * p
            divisor = safe_divide(new**power + beta, eta) + 2 * l2
            target = safe_divide(jnp.clip(z, -l1, l1) - z, divisor)
            return jnp.where(eta == 0, 0, target - p), new, z

        start = partial(squares, fill=initial_accumulator_value)
        return leafwise(rule, FtrlState, accumulator=start, linear=wide_zeros)

    return with_keras_options(method, learning_rate, sees_decay=True, **shared)
