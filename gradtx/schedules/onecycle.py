"""One-cycle schedules: up and down once over a whole run."""

import math

import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.types import Scalar, Schedule
from gradtx.schedules.piecewise import piecewise_interpolate_schedule
from gradtx.schedules.value import schedule


@schedule
def linear_onecycle_schedule(
    transition_steps: Scalar,
    peak_value: Scalar,
    pct_start: Scalar = 0.3,
    pct_final: Scalar = 0.85,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
) -> Schedule:
    """Rise to a peak, come back, and go on down, along three lines.

        step 0                    peak / div
        step ⌊start · steps⌋      peak
        step ⌊final · steps⌋      peak / div
        step steps                peak / (div · final_div)

    Args:
      transition_steps: how many steps the cycle has.
      peak_value: the highest value.
      pct_start: the share of the steps until the peak, in [0, 1].
      pct_final: the share of the steps until the first value is back, in [0, 1].
      div_factor: the ratio of the peak to the first value, above 0.
      final_div_factor: the ratio of the first value to the last, above 0.

    Raises:
      ValueError: if ``transition_steps`` or a factor is not positive, a share is
        outside [0, 1], or ``pct_final`` is below ``pct_start``.

    Reference: Smith & Topin, 2017, https://arxiv.org/abs/1708.07120

    Example:
      >>> rate = gradtx.linear_onecycle_schedule(10, 0.1)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.004, 0.0616, 0.0]
    """
    checks.positive(
        transition_steps=transition_steps,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
    checks.unit_interval(pct_start=pct_start, pct_final=pct_final)
    checks.ascending(**{"pct_start and pct_final": [pct_start, pct_final]})
    turns = (
        (_whole_part(pct_start, transition_steps), div_factor),
        (_whole_part(pct_final, transition_steps), 1.0 / div_factor),
        (transition_steps, 1.0 / final_div_factor),
    )
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, turns)


@schedule
def cosine_onecycle_schedule(
    transition_steps: Scalar,
    peak_value: Scalar,
    pct_start: Scalar = 0.3,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
) -> Schedule:
    """Rise to a peak and go down, along two halves of a cosine.

        step 0                    peak / div
        step ⌊start · steps⌋      peak
        step steps                peak / (div · final_div)

    Args:
      transition_steps: how many steps the cycle has.
      peak_value: the highest value.
      pct_start: the share of the steps until the peak, in [0, 1].
      div_factor: the ratio of the peak to the first value, above 0.
      final_div_factor: the ratio of the first value to the last, above 0.

    Raises:
      ValueError: if ``transition_steps`` or a factor is not positive, or the share is
        outside [0, 1].

    Reference: Smith & Topin, 2017, https://arxiv.org/abs/1708.07120

    Example:
      >>> rate = gradtx.cosine_onecycle_schedule(10, 0.1)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.004, 0.0812, 0.0]
    """
    checks.positive(
        transition_steps=transition_steps,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
    checks.unit_interval(pct_start=pct_start)
    turns = (
        (_whole_part(pct_start, transition_steps), div_factor),
        (transition_steps, 1.0 / (div_factor * final_div_factor)),
    )
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, turns)


def _whole_part(share: Scalar, steps: Scalar) -> Scalar:
    """Return ⌊share · steps⌋."""
    product = share * steps
    if not isinstance(product, Tracer):
        return math.floor(product)
    # In few bits 0.29 · 100 may come out below 29.
    return jnp.floor(product * (1 + 2 * jnp.finfo(product.dtype).eps))
