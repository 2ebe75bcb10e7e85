"""Schedules that are multiplied by a factor at each of some steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, cosine, number
from gradtx.schedules.steps import Share, reached, share
from gradtx.schedules.value import schedule

# {step: factor}, or a sequence of (step, factor) in which the steps may be traced
Factors = Mapping[int, Scalar] | Sequence[tuple[Scalar, Scalar]]


@schedule
def piecewise_constant_schedule(
    init_value: Scalar, boundaries_and_scales: Factors | None = None
) -> Schedule:
    """Multiply the value by a factor at each of some steps.

        s(t) = I · Π fᵢ      over all i with t ≥ bᵢ

    Args:
      init_value: I, the value at first.
      boundaries_and_scales: ``{b: f}``, or pairs ``(b, f)`` in the order of the steps.
        All numbers are leaves, the steps too.

    Raises:
      ValueError: if a factor or a step is negative, or the steps are out of order.

    Example:
      >>> rate = gradtx.piecewise_constant_schedule(0.1, {5: 0.5})
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.05]
    """
    pairs = _checked(init_value, boundaries_and_scales)

    def value(count: Count) -> jax.Array:
        result = jnp.broadcast_to(number(init_value), jnp.shape(count))
        for boundary, factor in pairs:
            scaled = result * number(factor)
            result = jnp.where(reached(count, boundary), scaled, result)
        return result

    return value


@schedule
def piecewise_interpolate_schedule(
    interpolate_type: str,
    init_value: Scalar,
    boundaries_and_scales: Factors | None = None,
) -> Schedule:
    """Go from each value to the next, which is a factor times it.

        v₀ = I,  vᵢ = fᵢ vᵢ₋₁
        s(t) = from vᵢ₋₁ to vᵢ between bᵢ₋₁ and bᵢ      b₀ = 0

    Args:
      interpolate_type: "linear", or "cosine" for half a period of a cosine.
      init_value: I, the value at step 0.
      boundaries_and_scales: ``{b: f}``, or pairs ``(b, f)`` in the order of the steps.
        All numbers are leaves, the steps too. After the last the value stays.

    Raises:
      ValueError: if the type is another one, a factor or a step is negative, or the
        steps are out of order.

    Example:
      >>> rate = gradtx.piecewise_interpolate_schedule("linear", 0.1, {10: 0.5})
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.075, 0.05]
    """
    bend = _bend(interpolate_type)
    pairs = _checked(init_value, boundaries_and_scales)

    def value(count: Count) -> jax.Array:
        start, begin = number(init_value), 0
        result = jnp.broadcast_to(start, jnp.shape(count))
        for boundary, factor in pairs:
            end = start * number(factor)
            part = bend(share(count, begin, boundary - begin))
            between = jnp.where(reached(count, begin), blend(start, end, part), result)
            result = jnp.where(reached(count, boundary), end, between)
            start, begin = end, boundary
        return result

    return value


def _bend(interpolate_type: str) -> Any:
    if interpolate_type == "linear":
        return _straight
    if interpolate_type == "cosine":
        return cosine
    raise checks.InvalidArgument(
        f"interpolate_type must be 'linear' or 'cosine', got {interpolate_type!r}"
    )


def _straight(part: Share) -> Share:
    return part


def _checked(init_value: Scalar, pairs: Any) -> list[tuple[Scalar, Scalar]]:
    """Return the pairs, after a look at those that are known."""
    checks.finite(init_value=init_value)
    pairs = list(pairs or ())
    checks.ascending(boundaries=[boundary for boundary, _ in pairs])
    for boundary, factor in pairs:
        checks.non_negative(**{f"the scale at step {boundary}": factor})
    return pairs
