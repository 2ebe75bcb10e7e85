"""Rprop as in optax."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.types import OptState, Params, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import wide_zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.rprop import (
    ScaleByRpropState,
    scale_by_rprop as scale_by_rprop_in_time,
)
from gradtx.primitives.scale import scale
from gradtx.wrappers.chain import chain


@transformation
def scale_by_rprop(
    learning_rate: Scalar,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
) -> GradientTransformation:
    """Step by the gradient's sign, one step late, as ``optax.scale_by_rprop``.

        g uₗₐₛₜ < 0:   0 goes out
        else:          uₗₐₛₜ goes out

    where u is the update that :func:`gradtx.scale_by_rprop` makes of g, which is kept
    for the next step. The first update is 0.

    Args:
      learning_rate: at least 0, what every step size starts from.
      eta_minus: in [0, 1], the factor of a step size where the gradient turns.
      eta_plus: at least 1, the factor where it does not.
      min_step_size: at least 0, the smallest step size.
      max_step_size: at least 0, the largest.

    Raises:
      ValueError: if a number is outside of its range; for complex parameters.

    Reference: Riedmiller and Braun, 1993, https://doi.org/10.1109/ICNN.1993.298623

    Example:
      >>> tx, params = gradtx.like.optax.scale_by_rprop(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [0. 0.]
    """
    inner = scale_by_rprop_in_time(
        learning_rate, eta_minus, eta_plus, min_step_size, max_step_size
    )
    late = leafwise(_late, ScaleByRpropState, prev_updates=wide_zeros)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        late_updates, _kept = late.update(updates, state, params)
        _early_updates, new = inner.update(updates, state, params)
        return late_updates, new

    return GradientTransformation(inner.init, update)


def _late(g: jax.Array, last: jax.Array) -> tuple[jax.Array, jax.Array]:
    turned = jnp.sign(g) * jnp.sign(last) < 0
    return jnp.where(turned, 0, last), last


@transformation
def rprop(
    learning_rate: Scalar,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
) -> GradientTransformation:
    """Rprop, as ``optax.rprop``: :func:`scale_by_rprop`, downhill.

    Args:
      learning_rate: at least 0, what every step size starts from.
      eta_minus: in [0, 1], the factor of a step size where the gradient turns.
      eta_plus: at least 1, the factor where it does not.
      min_step_size: at least 0, the smallest step size.
      max_step_size: at least 0, the largest.

    Raises:
      ValueError: if a number is outside of its range; for complex parameters.

    Reference: Riedmiller and Braun, 1993, https://doi.org/10.1109/ICNN.1993.298623

    Example:
      >>> tx, params = gradtx.like.optax.rprop(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0. -0.]
    """
    sizes = (learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)
    return chain(scale_by_rprop(*sizes), scale(-1.0))
