"""How often PSGD fits its factors."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.value import schedule


@schedule
def preconditioner_update_schedule(
    max_prob: Scalar = 1.0,
    min_prob: Scalar = 0.03,
    decay: Scalar = 0.001,
    flat_start: Scalar = 500.0,
) -> Schedule:
    """Let how often PSGD fits its factors fall from every step to few.

        s(t) = max · exp(-decay (t + 1 - flat)), but between min and max

    Args:
      max_prob: the share of the steps to start from.
      min_prob: the share to end with.
      decay: how fast the share falls.
      flat_start: the number of steps before it falls.

    Raises:
      ValueError: if a number is outside its range.

    Example:
      >>> rate = gradtx.preconditioner_update_schedule()
      >>> print([round(float(rate(t)), 4) for t in (0, 1000, 5000)])
      [1.0, 0.6059, 0.03]
    """
    checks.unit_interval(max_prob=max_prob, min_prob=min_prob)
    checks.non_negative(decay=decay, flat_start=flat_start)

    def value(count: Count) -> jax.Array:
        t = jnp.asarray(count, jnp.result_type(float)) + 1
        share = max_prob * jnp.exp(-decay * jnp.maximum(t - flat_start, 0))
        return jnp.clip(share, min_prob, max_prob)

    return value
