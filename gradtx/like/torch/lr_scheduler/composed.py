"""Schedulers of PyTorch that are made of functions or of other schedulers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import safe_divide
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.lowering.control_flow import fori_loop
from gradtx.schedules.blend import number
from gradtx.schedules.join import join_schedules
from gradtx.schedules.value import schedule


@schedule
def LambdaLR(lr: Scalar, lr_lambda: Callable[[Any], Any]) -> Schedule:  # noqa: N802
    """Multiply by a function of the step, as PyTorch's ``LambdaLR``.

        s(t) = η f(t)

    Args:
      lr: η.
      lr_lambda: f, of the number of steps taken, which may be traced.

    Raises:
      ValueError: if η is infinite or NaN.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.LambdaLR(0.1, lambda epoch: 0.9**epoch)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.059, 0.0349]
    """
    checks.finite(lr=lr)
    return lambda count: number(lr) * lr_lambda(count)


@schedule
def MultiplicativeLR(  # noqa: N802
    lr: Scalar, lr_lambda: Callable[[Any], Any]
) -> Schedule:
    """Multiply by a function of every step so far, as PyTorch's ``MultiplicativeLR``.

        s(t) = η f(1) f(2) ⋯ f(t)

    As a schedule knows no rate of before, the product is taken anew at each step, by a
    loop of t turns: where f has a product in closed form, :func:`LambdaLR` is cheaper.

    Args:
      lr: η, the rate at first.
      lr_lambda: f, of the number of steps taken, which may be traced.

    Raises:
      ValueError: if η is infinite or NaN.

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.MultiplicativeLR(0.1, lambda epoch: 0.9)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.059, 0.0349]
    """
    checks.finite(lr=lr)

    def value(count: Count) -> jax.Array:
        count = jnp.asarray(count)
        first = jnp.broadcast_to(jnp.asarray(number(lr)), count.shape)

        def multiplied(i: Any, product: jax.Array) -> jax.Array:
            factor = jnp.asarray(lr_lambda(i), product.dtype)
            return jnp.where(i <= count, product * factor, product)

        last = jnp.max(count).astype(jnp.int32)
        return fori_loop(1, last + 1, multiplied, first * 1.0)

    return value


@schedule
def SequentialLR(  # noqa: N802
    schedulers: Sequence[Schedule], milestones: Sequence[Scalar]
) -> Schedule:
    """Follow one schedule after another, as PyTorch's ``SequentialLR``.

    Each counts from where it starts, as in :func:`gradtx.join_schedules`.

    Args:
      schedulers: functions of the step, of this module or any.
      milestones: the step at which each but the first starts, in order.

    Raises:
      ValueError: if there is not one schedule more than there are milestones, or the
        milestones are negative or out of order.

    Example:
      >>> from gradtx.like.torch import lr_scheduler
      >>> rate = lr_scheduler.SequentialLR(
      ...     [lr_scheduler.ConstantLR(0.1), lr_scheduler.ExponentialLR(0.1, 0.9)], [5]
      ... )
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.0333, 0.1, 0.059]
    """
    return join_schedules(schedulers, milestones)


@schedule
def ChainedScheduler(schedulers: Sequence[Schedule], lr: Scalar) -> Schedule:  # noqa: N802
    """Let several schedules act on one rate, as PyTorch's ``ChainedScheduler``.

        s(t) = η Π (sᵢ(t) / η)

    Every one must have been made with this η, and multiply it: those that go to a rate
    of their own, such as :func:`CyclicLR` or a cosine with ``eta_min``, overwrite in
    PyTorch what the others did, and have no place here.

    Args:
      schedulers: functions of the step, at least one.
      lr: η, the rate at first, not 0.

    Raises:
      ValueError: if there are no schedules, or η is infinite or NaN.

    Example:
      >>> from gradtx.like.torch import lr_scheduler
      >>> decay = lr_scheduler.ExponentialLR(0.1, 0.9)
      >>> rate = lr_scheduler.ChainedScheduler([decay, decay], 0.1)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.0349, 0.0122]
    """
    checks.finite(lr=lr)
    if not schedulers:
        raise checks.InvalidArgument("schedulers must hold at least one schedule")

    def value(count: Count) -> jax.Array:
        rate = jnp.asarray(number(lr))
        return rate * math.prod(
            safe_divide(jnp.asarray(s(count)), rate) for s in schedulers
        )

    return value
