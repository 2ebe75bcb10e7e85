"""Exponential decay."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import decayed, number
from gradtx.schedules.steps import periods
from gradtx.schedules.value import schedule


@schedule
def exponential_decay(
    init_value: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """Multiply by ``decay_rate`` every so many steps, continuously or in a staircase.

        s(t) = I · rateⁿ      n = max(t - begin, 0) / steps, rounded down if staircase

    With an end value, s(t) goes no lower than it if the rate is below 1, and no higher
    otherwise.

    Args:
      init_value: I, held before ``transition_begin``.
      transition_steps: the steps from one multiplication to the next. With none, or
        fewer, the value stays at ``init_value``.
      decay_rate: the factor. With 0 the value stays at ``init_value`` too.
      transition_begin: the step at which it starts.
      staircase: whether the value changes every ``transition_steps`` only.
      end_value: the bound at which the decay stops; None: no bound.

    Raises:
      ValueError: if the rate or ``transition_begin`` is negative, or a value is
        infinite or NaN.

    Example:
      >>> rate = gradtx.exponential_decay(0.1, 5, 0.5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.025]
    """
    checks.finite(
        init_value=init_value, transition_steps=transition_steps, end_value=end_value
    )
    checks.non_negative(decay_rate=decay_rate, transition_begin=transition_begin)

    def value(count: Count) -> jax.Array:
        rate = number(decay_rate)
        n = periods(count, transition_begin, transition_steps, whole=staircase)
        factor = jnp.where(rate == 0, 1.0, decayed(_above_zero(rate), n))
        result = number(init_value) * factor
        return result if end_value is None else _stop(result, number(end_value), rate)

    return value


def _above_zero(rate: Scalar) -> Scalar:
    """Return the rate, or 1 in place of 0, whose logarithm nothing is done with."""
    if isinstance(rate, float):
        return rate or 1.0
    return jnp.where(rate == 0, 1.0, rate)


def _stop(value: jax.Array, end: Scalar, rate: Scalar) -> jax.Array:
    """Keep a value from going past its end."""
    return jnp.where(rate < 1, jnp.maximum(value, end), jnp.minimum(value, end))
