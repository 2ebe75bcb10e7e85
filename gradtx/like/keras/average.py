"""Keras's running mean of the parameters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema
from gradtx.common.types import Count, Params, Scalar, Weights
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import weights
from gradtx.core.transformation import GradientTransformation
from gradtx.wrappers.averages import merge


class AverageState(NamedTuple):
    """What Keras's ``use_ema`` remembers."""

    count: Count
    average: Weights  # a, the running mean of the parameters

    def averaged_params(self, params: Params) -> Params:
        """Return the running mean, in the types of the parameters."""
        return merge(self.average, params)


def averaged(
    momentum: Scalar, overwrite_every: int | None, calls_per_step: int
) -> GradientTransformation:
    """Follow the parameters with a running mean, and put it in their place at times.

        a ← μ a + (1 - μ) p          μ = 0 up to the first step
        p ← a                        every so many steps

    Stands last in the chain, as it needs the updates that will be applied. Calls that
    only accumulate gradients count as the step that they belong to, as in Keras.

    Args:
      momentum: μ.
      overwrite_every: how many steps apart the mean becomes the parameter; None: never.
      calls_per_step: how many calls of ``update`` make a step.

    Raises:
      ValueError: if the momentum is outside [0, 1] or the frequency is below 1.
    """
    checks.unit_interval(ema_momentum=momentum)
    if overwrite_every is not None:
        checks.positive_int(ema_overwrite_frequency=overwrite_every)

    def rule(
        u: jax.Array, a: jax.Array, *, t: Count, p: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        step = (t - 1) // calls_per_step
        a = ema(a, p + u, jnp.where(step == 0, 0, momentum))
        if overwrite_every is not None:
            u = jnp.where((step + 1) % overwrite_every == 0, a - p, u)
        return u, a

    return leafwise(rule, AverageState, average=weights)
