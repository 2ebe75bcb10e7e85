"""One schedule after another."""

from collections.abc import Sequence

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.steps import elapsed, reached
from gradtx.schedules.value import schedule


@schedule
def join_schedules(
    schedules: Sequence[Schedule], boundaries: Sequence[Scalar]
) -> Schedule:
    """Follow one schedule after another, each counting from where it starts.

        s(t) = s₀(t)            before boundaries[0]
        s(t) = sᵢ₊₁(t - bᵢ)     from bᵢ = boundaries[i] until the next boundary

    Args:
      schedules: functions of the step, made here or anywhere.
      boundaries: the step at which each schedule but the first starts, in order; they
        may be traced.

    Raises:
      ValueError: if there is not one schedule more than there are boundaries, or the
        boundaries are negative or out of order.

    Example:
      >>> rate = gradtx.join_schedules(
      ...     [gradtx.constant_schedule(0.1), gradtx.constant_schedule(0.01)], [5]
      ... )
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.01, 0.01]
    """
    if len(schedules) != len(boundaries) + 1:
        raise checks.InvalidArgument(
            f"{len(schedules)} schedules need {len(schedules) - 1} boundaries between "
            f"them, got {len(boundaries)}"
        )
    checks.ascending(boundaries=boundaries)

    def value(count: Count) -> Scalar:
        result = schedules[0](count)
        for boundary, later in zip(boundaries, schedules[1:], strict=True):
            entered = reached(count, boundary)
            result = jnp.where(entered, later(elapsed(count, boundary)), result)
        return result

    return value
