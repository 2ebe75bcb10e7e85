"""Rprop: a step for every coordinate that grows until the gradient turns."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import Scalar, ScalarOrSchedule, SecondMoment, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, wide_zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.scale import scale
from gradtx.wrappers.chain import chain


class ScaleByRpropState(NamedTuple):
    """What :func:`scale_by_rprop` remembers."""

    step_sizes: SecondMoment  # Δ
    prev_updates: Updates  # the last update, 0 where the gradient had turned


@transformation
def scale_by_rprop(
    learning_rate: ScalarOrSchedule,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
) -> GradientTransformation:
    """Step by the gradient's sign, longer while it stays and shorter when it turns.

        g gₗₐₛₜ > 0:   Δ ← min(η₊ Δ, Δₘₐₓ),   u = Δ sign(g)
        g gₗₐₛₜ < 0:   Δ ← max(η₋ Δ, Δₘᵢₙ),   u = 0, and gₗₐₛₜ counts as 0 next time
        g gₗₐₛₜ = 0:   u = Δ sign(g)                 so at the first step

    This is the variant without backtracking, called iRprop⁻, as in PyTorch. It wants
    the gradient of all the data: on small batches the signs are noise.

    Args:
      learning_rate: what every Δ starts from. Of a schedule that is the value at step
        0, as later steps follow from the gradients alone.
      eta_minus: η₋, between 0 and 1.
      eta_plus: η₊, at least 1.
      min_step_size: Δₘᵢₙ.
      max_step_size: Δₘₐₓ.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Riedmiller and Braun, 1993, https://doi.org/10.1109/ICNN.1993.298623;
      Igel and Hüsken, 2000 (iRprop⁻)

    Example:
      >>> tx, params = gradtx.scale_by_rprop(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.1 -0.1]
    """
    checks.non_negative(learning_rate=learning_rate, min_step_size=min_step_size)
    checks.non_negative(max_step_size=max_step_size)
    checks.unit_interval(eta_minus=eta_minus)
    checks.at_least(1, eta_plus=eta_plus)

    def sizes(p: jax.Array) -> jax.Array:
        start = numerics.value_at(learning_rate, jnp.zeros((), jnp.int32))
        return squares(_real(p), fill=start)

    def rule(g: jax.Array, size: jax.Array, last: jax.Array) -> tuple[jax.Array, ...]:
        direction = jnp.sign(g)
        same = direction * jnp.sign(last)
        factor = jnp.where(same > 0, eta_plus, eta_minus)
        adapted = jnp.clip(size * factor, min_step_size, max_step_size)
        size = jnp.where(same == 0, size, adapted)
        u = jnp.where(same < 0, 0, size * direction)
        return u, size, u

    return leafwise(
        rule,
        ScaleByRpropState,
        step_sizes=sizes,
        prev_updates=wide_zeros,
    )


def _real(p: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(p):
        raise checks.InvalidArgument(
            "complex parameters have no sign to follow: wrap the optimizer in "
            "split_real_and_imaginary"
        )
    return p


@transformation
def rprop(
    learning_rate: ScalarOrSchedule,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
) -> GradientTransformation:
    """Rprop: :func:`scale_by_rprop`, downhill.

    Only the signs of the gradients count, so that layers may have any scale.

    Args:
      learning_rate: what every step size starts from, at least 0. Of a schedule that is
        the value at step 0.
      eta_minus: η₋ in [0, 1], what a step size is multiplied by where the sign turns.
      eta_plus: η₊, at least 1, what it is multiplied by where the sign stays.
      min_step_size: the least step size that a change of it leads to, at least 0.
      max_step_size: the largest one, at least 0.

    Example:
      >>> tx, params = gradtx.rprop(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    return chain(
        scale_by_rprop(
            learning_rate, eta_minus, eta_plus, min_step_size, max_step_size
        ),
        scale(-1.0),
    )
