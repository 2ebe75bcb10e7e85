"""MARS: gradients corrected by how they changed, before any method."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import AxisName, Count, DTypeLike, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.tree import norms


class MarsState(NamedTuple):
    """What :func:`mars` remembers."""

    count: Count
    previous: Updates  # g', the gradients of the step before


@transformation
def mars(
    gamma: Scalar = 0.025,
    b1: Scalar = 0.95,
    max_norm: Scalar | None = 1.0,
    accumulator_dtype: DTypeLike | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Reduce the variance of the gradients; stands in front of a method with momentum.

        c = g + γ β₁ / (1 - β₁) (g - g')          g' = 0 at the first step
        u = c · min(1, max_norm / ‖c‖₂)           ‖·‖₂ of each leaf

    A mean of the results with decay β₁ follows the gradient of the whole data more
    closely than one of the gradients themselves. MARS-AdamW is
    ``chain(mars(), adamw(learning_rate, b1=0.95, b2=0.99))``, MARS-Lion
    ``chain(mars(), lion(learning_rate, b1=0.95, b2=0.95))``; before Muon it makes
    MARS-Shampoo. (g - g' stands for the change on one batch, which would cost a second
    gradient.)

    Args:
      gamma: γ, at least 0: how much of the change is added; 0 adds none.
      b1: β₁, in [0, 1): the decay of the mean in the method that follows.
      max_norm: the largest norm that a leaf may have, at least 0; None for no bound,
        which also saves reading the gradients twice.
      accumulator_dtype: the type to keep g' in; the parameter's if None.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a number is outside its range.

    Reference: Yuan et al., 2024, https://arxiv.org/abs/2411.10438 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.mars(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    checks.decay_rates(b1=b1)
    checks.non_negative(gamma=gamma, max_norm=max_norm)
    strength = gamma * b1 / (1 - b1)

    def rule(
        g: jax.Array, previous: jax.Array, *, t: Count
    ) -> tuple[jax.Array, jax.Array]:
        c = g + strength * (g - previous)
        if max_norm is not None:
            c = _bounded(c, max_norm, axis_name)
        return c, numerics.overwrite(previous, g, t == 1)

    previous = partial(zeros, dtype=accumulator_dtype)
    alone = max_norm is None  # else a norm of the leaf is taken
    return leafwise(rule, MarsState, elementwise=alone, previous=previous)


def _bounded(c: jax.Array, max_norm: Scalar, axis_name: AxisName) -> jax.Array:
    length = norms.norm(c, axis_name=axis_name)
    # The division comes first, so that neither factor overflows.
    return jnp.where(length > max_norm, numerics.safe_divide(c, length) * max_norm, c)
