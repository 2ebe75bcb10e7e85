"""Schedules of Keras that fall in steps, along a power or by a factor."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, decayed, number, powered
from gradtx.schedules.steps import periods, reached, share
from gradtx.schedules.value import schedule


@schedule
def ExponentialDecay(  # noqa: N802
    initial_learning_rate: Scalar,
    decay_steps: Scalar,
    decay_rate: Scalar,
    staircase: bool = False,
    name: str = "ExponentialDecay",
) -> Schedule:
    """Multiply by a factor every so many steps, as Keras's ``ExponentialDecay``.

        s(t) = η rⁿ            n = t / T, rounded down if staircase

    Args:
      initial_learning_rate: η, the rate at first.
      decay_steps: T, above 0.
      decay_rate: r, at least 0.
      staircase: whether the rate changes every T steps only.
      name: does nothing.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.keras.schedules.ExponentialDecay(0.1, 5, 0.5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.025]
    """
    del name
    _checked(initial_learning_rate, decay_steps, decay_rate)

    def value(count: Count) -> jax.Array:
        n = periods(count, 0, decay_steps, whole=staircase)
        return number(initial_learning_rate) * decayed(decay_rate, n)

    return value


@schedule
def InverseTimeDecay(  # noqa: N802
    initial_learning_rate: Scalar,
    decay_steps: Scalar,
    decay_rate: Scalar,
    staircase: bool = False,
    name: str = "InverseTimeDecay",
) -> Schedule:
    """Fall as the inverse of the time, as Keras's ``InverseTimeDecay``.

        s(t) = η / (1 + r n)   n = t / T, rounded down if staircase

    Args:
      initial_learning_rate: η, the rate at first.
      decay_steps: T, above 0.
      decay_rate: r, at least 0.
      staircase: whether the rate changes every T steps only.
      name: does nothing.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.keras.schedules.InverseTimeDecay(0.1, 5, 1.0)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.0333]
    """
    del name
    _checked(initial_learning_rate, decay_steps, decay_rate)

    def value(count: Count) -> jax.Array:
        n = periods(count, 0, decay_steps, whole=staircase)
        return number(initial_learning_rate) / (1 + number(decay_rate) * n)

    return value


def _checked(rate: Scalar, steps: Scalar, decay: Scalar) -> None:
    checks.finite(initial_learning_rate=rate)
    checks.positive(decay_steps=steps)
    checks.non_negative(decay_rate=decay)


@schedule
def PiecewiseConstantDecay(  # noqa: N802
    boundaries: Sequence[Scalar],
    values: Sequence[Scalar],
    name: str = "PiecewiseConstant",
) -> Schedule:
    """Have one rate up to each of some steps, as Keras's ``PiecewiseConstantDecay``.

        s(t) = values[i]       i: how many boundaries are below t

    A boundary itself still has the rate before it.

    Args:
      boundaries: steps, in order.
      values: the rates, one more than there are boundaries.
      name: does nothing.

    Raises:
      ValueError: if the boundaries are negative or out of order, or the numbers of
        both do not fit.

    Example:
      >>> rate = gradtx.like.keras.schedules.PiecewiseConstantDecay([5], [0.1, 0.01])
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.1, 0.01]
    """
    del name
    checks.ascending(boundaries=boundaries)
    if len(values) != len(boundaries) + 1:
        raise checks.InvalidArgument(
            f"{len(boundaries)} boundaries need {len(boundaries) + 1} values, got "
            f"{len(values)}"
        )

    def value(count: Count) -> jax.Array:
        result = jnp.broadcast_to(number(values[0]), jnp.shape(count))
        for boundary, later in zip(boundaries, values[1:], strict=True):
            passed = reached(count, boundary) & (jnp.asarray(count) != boundary)
            result = jnp.where(passed, number(later), result)
        return result

    return value


@schedule
def PolynomialDecay(  # noqa: N802
    initial_learning_rate: Scalar,
    decay_steps: int,
    end_learning_rate: Scalar = 1e-4,
    power: Scalar = 1.0,
    cycle: bool = False,
    name: str = "PolynomialDecay",
) -> Schedule:
    """Go to another rate along a power, as Keras's ``PolynomialDecay``.

        s(t) = (η - e) (1 - min(t / T, 1))ᵖ + e

    With ``cycle`` T is the first multiple of itself that is at least t, so that the
    rate jumps up again after each.

    Args:
      initial_learning_rate: η, the rate at first.
      decay_steps: T, a whole number of at least 1.
      end_learning_rate: e, the rate in the end.
      power: p, at least 0.
      cycle: whether it begins anew.
      name: does nothing.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.keras.schedules.PolynomialDecay(0.1, 10)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.0501, 0.0001]
    """
    del name
    checks.positive_int(decay_steps=decay_steps)
    checks.finite(
        initial_learning_rate=initial_learning_rate, end_learning_rate=end_learning_rate
    )
    checks.non_negative(power=power)

    def value(count: Count) -> jax.Array:
        steps = decay_steps
        if cycle:
            # ⌈t / T⌉ = -⌊-t / T⌋, and 1 at step 0
            steps = decay_steps * jnp.maximum(1, -(-jnp.asarray(count) // decay_steps))
        part = powered(share(count, 0, steps), power)
        return blend(number(initial_learning_rate), number(end_learning_rate), part)

    return value
