"""Schedules that rise to a peak first."""

from collections.abc import Iterable, Mapping
from itertools import accumulate

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import number
from gradtx.schedules.cosine import cosine_between
from gradtx.schedules.exponential import exponential_decay
from gradtx.schedules.join import join_schedules
from gradtx.schedules.polynomial import constant_schedule, linear_schedule
from gradtx.schedules.value import schedule


@schedule
def warmup_constant_schedule(
    init_value: Scalar, peak_value: Scalar, warmup_steps: Scalar
) -> Schedule:
    """Rise along a line, and stay.

    Without any steps of warmup it is at the peak from the start.

    Args:
      init_value: the value at step 0.
      peak_value: the value after ``warmup_steps``.
      warmup_steps: how many steps it rises.

    Raises:
      ValueError: if ``warmup_steps`` is negative, or a value is infinite or NaN.

    Example:
      >>> rate = gradtx.warmup_constant_schedule(0.0, 0.1, 5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.0, 0.1, 0.1]
    """
    return _rise(init_value, peak_value, warmup_steps, constant_schedule(peak_value))


@schedule
def warmup_cosine_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    decay_steps: Scalar,
    end_value: Scalar = 0.0,
    exponent: Scalar = 1.0,
) -> Schedule:
    """Rise along a line, then go down like a cosine.

    The second part is :func:`cosine_decay_schedule` over the steps that are left, from
    the peak to ``end_value``; where the peak is 0 it stays there.

    Args:
      init_value: the value at step 0.
      peak_value: the value after ``warmup_steps``.
      warmup_steps: how many steps it rises.
      decay_steps: how many steps it takes in all, the rise included.
      end_value: the value after ``decay_steps``.
      exponent: the power of the cosine.

    Raises:
      ValueError: if ``warmup_steps`` is negative, ``decay_steps`` is not above it, the
        exponent is negative, or a value is infinite or NaN.

    Reference: Loshchilov & Hutter, 2017, https://arxiv.org/abs/1608.03983

    Example:
      >>> rate = gradtx.warmup_cosine_decay_schedule(0.0, 0.1, 5, 10)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.0, 0.1, 0.0]
    """
    checks.finite(peak_value=peak_value, end_value=end_value)
    checks.non_negative(exponent=exponent)
    checks.positive(**{"decay_steps - warmup_steps": decay_steps - warmup_steps})

    def decay(count: Count) -> Scalar:
        end = jnp.where(number(peak_value) == 0, 0.0, number(end_value))
        steps = decay_steps - warmup_steps
        return cosine_between(peak_value, end, steps, exponent)(count)

    return _rise(init_value, peak_value, warmup_steps, decay)


@schedule
def warmup_exponential_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """Rise along a line, then decay exponentially.

    The second part is :func:`exponential_decay`, which counts from the peak.

    Args:
      init_value: the value at step 0.
      peak_value: the value after ``warmup_steps``.
      warmup_steps: how many steps it rises.
      transition_steps: the steps from one multiplication to the next.
      decay_rate: the factor.
      transition_begin: how long it stays at the peak.
      staircase: whether the value changes every ``transition_steps`` only.
      end_value: where it stops; None lets it go on.

    Raises:
      ValueError: if ``warmup_steps``, the rate or ``transition_begin`` is negative, or
        a value is infinite or NaN.

    Example:
      >>> rate = gradtx.warmup_exponential_decay_schedule(0.0, 0.1, 5, 5, 0.5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.0, 0.1, 0.05]
    """
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return _rise(init_value, peak_value, warmup_steps, decay)


@schedule
def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Scalar]]) -> Schedule:
    """Rise and go down like a cosine, again and again: warm restarts.

    Args:
      cosine_kwargs: for each cycle the arguments of
        :func:`warmup_cosine_decay_schedule`; the next starts after its ``decay_steps``.

    Raises:
      ValueError: if there are no cycles, or the arguments of one are refused.

    Reference: Loshchilov & Hutter, 2017, https://arxiv.org/abs/1608.03983

    Example:
      >>> rate = gradtx.sgdr_schedule(
      ...     [
      ...         {
      ...             "init_value": 0.0,
      ...             "peak_value": 0.1,
      ...             "warmup_steps": 2,
      ...             "decay_steps": 5,
      ...         }
      ...     ]
      ... )
      >>> print([round(float(rate(t)), 4) for t in (0, 2, 5)])
      [0.0, 0.1, 0.0]
    """
    cycles = list(cosine_kwargs)
    if not cycles:
        raise checks.InvalidArgument("cosine_kwargs must describe at least one cycle")
    parts = [warmup_cosine_decay_schedule(**cycle) for cycle in cycles]  # type: ignore[arg-type]
    lengths = [cycle["decay_steps"] for cycle in cycles]
    return join_schedules(parts, list(accumulate(lengths))[:-1])


def _rise(start: Scalar, peak: Scalar, steps: Scalar, then: Schedule) -> Schedule:
    """Rise along a line for some steps, and go on."""
    checks.non_negative(warmup_steps=steps)
    return join_schedules([linear_schedule(start, peak, steps), then], [steps])
