"""Schedules that stay, or go from one value to another along a line or a power."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, number, powered
from gradtx.schedules.steps import share
from gradtx.schedules.value import schedule


@schedule
def constant_schedule(value: Scalar) -> Schedule:
    """Stay at one value.

        s(t) = value

    Args:
      value: the value at every step.

    Raises:
      ValueError: if the value is infinite or NaN.

    Example:
      >>> rate = gradtx.constant_schedule(0.1)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.1, 0.1]
    """
    checks.finite(value=value)
    return lambda count: jnp.broadcast_to(number(value), jnp.shape(count))


@schedule
def polynomial_schedule(
    init_value: Scalar,
    end_value: Scalar,
    power: Scalar,
    transition_steps: Scalar,
    transition_begin: Scalar = 0,
) -> Schedule:
    """Go from one value to another along a power of the steps that are left.

        s(t) = E + (I - E) (1 - f)ᵖ      f = (t - begin) / steps, kept in [0, 1]

    Args:
      init_value: I, held before ``transition_begin``.
      end_value: E, held when ``transition_steps`` have passed.
      power: p; 1 is a line, 2 starts fast and ends slowly, ½ the other way round.
      transition_steps: how many steps it takes, whole or not. With none, or fewer, the
        value stays at ``init_value``.
      transition_begin: the step at which it starts.

    Raises:
      ValueError: if the power or ``transition_begin`` is negative, or a value is
        infinite or NaN.

    Example:
      >>> rate = gradtx.polynomial_schedule(0.1, 0.0, 2, 10)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.025, 0.0]
    """
    checks.finite(
        init_value=init_value, end_value=end_value, transition_steps=transition_steps
    )
    checks.non_negative(power=power, transition_begin=transition_begin)

    def value(count: Count) -> jax.Array:
        part = powered(share(count, transition_begin, transition_steps), power)
        return blend(number(init_value), number(end_value), part)

    return value


@schedule
def linear_schedule(
    init_value: Scalar,
    end_value: Scalar,
    transition_steps: Scalar,
    transition_begin: Scalar = 0,
) -> Schedule:
    """Go from one value to another along a line.

        s(t) = I + (E - I) f      f = (t - begin) / steps, kept in [0, 1]

    Args:
      init_value: I, held before ``transition_begin``.
      end_value: E, held when ``transition_steps`` have passed.
      transition_steps: how many steps it takes, whole or not. With none, or fewer, the
        value stays at ``init_value``.
      transition_begin: the step at which it starts.

    Raises:
      ValueError: if ``transition_begin`` is negative, or a value is infinite or NaN.

    Example:
      >>> rate = gradtx.linear_schedule(0.1, 0.0, 10)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.0]
    """
    return polynomial_schedule(
        init_value, end_value, 1, transition_steps, transition_begin
    )
