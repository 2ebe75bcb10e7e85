"""Schedulers of PyTorch that follow a cosine."""

import math
from collections.abc import Iterator
from itertools import takewhile

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, cosine, number
from gradtx.schedules.steps import elapsed, reached, share
from gradtx.schedules.value import schedule

_LONGEST = 2**31  # steps


@schedule
def CosineAnnealingLR(lr: Scalar, T_max: int, eta_min: Scalar = 0.0) -> Schedule:  # noqa: N802
    """Swing between two rates along a cosine, as PyTorch's ``CosineAnnealingLR``.

        s(t) = η_min + ½ (η - η_min) (1 + cos(π t / T))

    After T steps it rises again.

    Args:
      lr: η, the rate at first.
      T_max: T, half a period in steps, a whole number of at least 1.
      eta_min: η_min, the rate at step T.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.CosineAnnealingLR(0.1, 10)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.0]
    """
    checks.positive_int(T_max=T_max)
    checks.finite(lr=lr, eta_min=eta_min)

    def value(count: Count) -> jax.Array:
        phase = jnp.mod(count, 2 * T_max)
        falling = jnp.minimum(phase, 2 * T_max - phase)  # it rises as it fell
        return blend(number(lr), number(eta_min), cosine(share(falling, 0, T_max)))

    return value


@schedule
def CosineAnnealingWarmRestarts(  # noqa: N802
    lr: Scalar,
    T_0: int,
    T_mult: int = 1,
    eta_min: Scalar = 0.0,
) -> Schedule:
    """Fall along a cosine again and again: ``CosineAnnealingWarmRestarts`` of PyTorch.

        s(t) = η_min + ½ (η - η_min) (1 + cos(π c / T))

    where c counts the steps since the last restart, and T is T₀ at first and grows by
    the factor ``T_mult`` at each.

    Args:
      lr: η, the rate after a restart.
      T_0: T₀, the steps to the first restart, a whole number of at least 1.
      T_mult: a whole number of at least 1.
      eta_min: η_min, the rate just before a restart.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.CosineAnnealingWarmRestarts(0.1, 5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.1, 0.1]
    """
    checks.positive_int(T_0=T_0, T_mult=T_mult)
    checks.finite(lr=lr, eta_min=eta_min)

    def value(count: Count) -> jax.Array:
        if T_mult == 1:
            part = share(jnp.mod(count, T_0), 0, T_0)
            return blend(number(lr), number(eta_min), cosine(part))
        result = jnp.broadcast_to(number(lr), jnp.shape(count))
        for begin, length in _cycles(T_0, T_mult):
            part = cosine(share(elapsed(count, begin), 0, length))
            here = blend(number(lr), number(eta_min), part)
            result = jnp.where(reached(count, begin), here, result)
        return result

    return value


def _cycles(first: int, factor: int) -> Iterator[tuple[int, int]]:
    """Yield where each cycle begins, and its length, for all counts there may be."""
    lengths = (first * factor**i for i in range(math.ceil(math.log2(_LONGEST)) + 1))
    begin = 0
    for length in takewhile(lambda x: x < _LONGEST, lengths):
        yield begin, length
        begin += length
        if begin >= _LONGEST:
            return
