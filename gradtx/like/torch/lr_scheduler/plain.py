"""Schedulers of PyTorch that fall in steps, along a line, a power or an exponential."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, decayed, number, powered
from gradtx.schedules.steps import periods, reached, share
from gradtx.schedules.value import schedule


@schedule
def StepLR(lr: Scalar, step_size: int, gamma: Scalar = 0.1) -> Schedule:  # noqa: N802
    """Multiply by γ every so many steps, as PyTorch's ``StepLR``.

        s(t) = η γⁿ            n = ⌊t / step_size⌋

    Args:
      lr: η, the rate at first.
      step_size: how many steps apart, a whole number of at least 1.
      gamma: γ, at least 0.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.StepLR(0.1, 5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.01, 0.001]
    """
    checks.positive_int(step_size=step_size)
    checks.finite(lr=lr)
    checks.non_negative(gamma=gamma)

    def value(count: Count) -> jax.Array:
        return number(lr) * decayed(gamma, periods(count, 0, step_size, whole=True))

    return value


@schedule
def MultiStepLR(  # noqa: N802
    lr: Scalar, milestones: Sequence[Scalar], gamma: Scalar = 0.1
) -> Schedule:
    """Multiply by γ at each of some steps, as PyTorch's ``MultiStepLR``.

        s(t) = η γⁿ            n: how many milestones are at most t

    Args:
      lr: η, the rate at first.
      milestones: the steps, in order; one that stands twice counts twice.
      gamma: γ, at least 0.

    Raises:
      ValueError: if a number is outside of its range, or the milestones out of order.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.MultiStepLR(0.1, [5])
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.01, 0.01]
    """
    checks.ascending(milestones=milestones)
    checks.finite(lr=lr)
    checks.non_negative(gamma=gamma)

    def value(count: Count) -> jax.Array:
        passed = [reached(count, milestone) * 1.0 for milestone in milestones]
        many = sum(passed, jnp.zeros(jnp.shape(count)))
        return number(lr) * decayed(gamma, many)

    return value


@schedule
def ConstantLR(  # noqa: N802
    lr: Scalar, factor: Scalar = 1.0 / 3, total_iters: int = 5
) -> Schedule:
    """Multiply by a factor for some steps only, as PyTorch's ``ConstantLR``.

        s(t) = η · factor      for t < total_iters, η afterwards

    Args:
      lr: η, the rate in the end.
      factor: in [0, 1].
      total_iters: for how many steps, at least 0.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.ConstantLR(0.1)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.0333, 0.1, 0.1]
    """
    checks.finite(lr=lr)
    checks.unit_interval(factor=factor)
    checks.non_negative(total_iters=total_iters)

    def value(count: Count) -> jax.Array:
        rate = number(lr)
        return jnp.where(reached(count, total_iters), rate, rate * number(factor))

    return value


@schedule
def LinearLR(  # noqa: N802
    lr: Scalar,
    start_factor: Scalar = 1.0 / 3,
    end_factor: Scalar = 1.0,
    total_iters: int = 5,
) -> Schedule:
    """Go along a line from one factor to another, as PyTorch's ``LinearLR``.

        s(t) = η (start + (end - start) min(t / total_iters, 1))

    Args:
      lr: η.
      start_factor: the factor at first, in (0, 1].
      end_factor: the factor in the end, in [0, 1].
      total_iters: how many steps it takes, a whole number of at least 1.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.LinearLR(0.1)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.0333, 0.1, 0.1]
    """
    checks.finite(lr=lr)
    checks.positive(start_factor=start_factor)
    checks.unit_interval(start_factor=start_factor, end_factor=end_factor)
    checks.positive_int(total_iters=total_iters)

    def value(count: Count) -> jax.Array:
        rate, part = number(lr), share(count, 0, total_iters)
        return blend(rate * number(start_factor), rate * number(end_factor), part)

    return value


@schedule
def ExponentialLR(lr: Scalar, gamma: Scalar) -> Schedule:  # noqa: N802
    """Multiply by γ at every step, as PyTorch's ``ExponentialLR``.

        s(t) = η γᵗ

    Args:
      lr: η, the rate at first.
      gamma: γ, at least 0.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.ExponentialLR(0.1, 0.9)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.059, 0.0349]
    """
    checks.finite(lr=lr)
    checks.non_negative(gamma=gamma)

    def value(count: Count) -> jax.Array:
        return number(lr) * decayed(gamma, periods(count, 0, 1, whole=False))

    return value


@schedule
def PolynomialLR(  # noqa: N802
    lr: Scalar, total_iters: int = 5, power: Scalar = 1.0
) -> Schedule:
    """Fall to 0 along a power, as PyTorch's ``PolynomialLR``.

        s(t) = η (1 - min(t / total_iters, 1))ᵖ

    Args:
      lr: η, the rate at first.
      total_iters: how many steps it takes, a whole number of at least 1.
      power: p, at least 0.

    Raises:
      ValueError: if a number is outside of its range.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.PolynomialLR(0.1)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.0, 0.0]
    """
    checks.finite(lr=lr)
    checks.positive_int(total_iters=total_iters)
    checks.non_negative(power=power)

    def value(count: Count) -> jax.Array:
        return number(lr) * powered(share(count, 0, total_iters), power).left

    return value
