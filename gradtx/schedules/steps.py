"""Step counts, compared, subtracted and divided without loss.

A float32 knows whole numbers up to 2²⁴ only, so that a step of a long run must not be
turned into one before the start of its phase has been taken off. What follows is
compiled, so that a schedule is cheap to call one step at a time, and quickly traced.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.types import Count, Scalar

_LARGEST = 2**31 - 128  # the largest int32 that is a float32
_UNIT = 2**16


class Steps(NamedTuple):
    """A number of steps in two parts, whole + rest.

    The rest lies in [0, 1) unless the number is among the largest of int32, or larger.
    """

    whole: Any  # int32
    rest: Any

    @property
    def total(self) -> Any:
        """The number itself, as a float, rounded."""
        return self.whole * 1.0 + self.rest


def split(x: Count | Scalar) -> Steps:
    """Return a number of steps of any type in its two parts."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.floating):
        whole = jax.lax.stop_gradient(jnp.clip(jnp.floor(x), -_LARGEST, _LARGEST))
        return Steps(whole.astype(jnp.int32), x - whole)
    if jnp.iinfo(x.dtype).bits < 32:  # noqa: PLR2004
        return Steps(x.astype(jnp.int32), 0.0)
    whole = jnp.minimum(x, _LARGEST)
    return Steps(whole.astype(jnp.int32), (x - whole) * 1.0)


@jax.jit
def reached(count: Count, boundary: Scalar) -> Any:
    """Whether ``count`` is at ``boundary`` or beyond."""
    c, b = split(count), split(boundary)
    return (c.whole > b.whole) | ((c.whole == b.whole) & (c.rest >= b.rest))


def since(count: Count, begin: Scalar) -> Steps:
    """Return the steps from ``begin`` to ``count``; none before it."""
    c, b = split(count), split(begin)
    after = c.whole >= b.whole
    return Steps(
        jnp.where(after, c.whole - b.whole, 0), jnp.where(after, c.rest - b.rest, 0.0)
    )


@jax.jit
def elapsed(count: Count, begin: Scalar) -> Any:
    """Return the steps from ``begin`` to ``count`` as one number; 0 before it."""
    if _is_whole(count) and _is_whole(begin):
        return jnp.maximum(count, begin) - begin
    return jnp.maximum(since(count, begin).total, 0.0)


def _is_whole(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.integer)


class Share(NamedTuple):
    """How much of a phase lies behind and ahead; done + left = 1.

    Each is right to its own last bits, so that what is close to 1 says no less than
    what is close to 0.
    """

    done: Any
    left: Any


@jax.jit
def share(count: Count, begin: Scalar, steps: Scalar) -> Share:
    """Return the share of ``steps`` since ``begin``; none if there are no ``steps``.

    done = (count - begin) / steps,  kept in [0, 1]
    """
    part, whole = since(count, begin), split(steps)
    valid = whole.total > 0
    whole = Steps(jnp.where(valid, whole.whole, 1), jnp.where(valid, whole.rest, 0.0))
    ahead = Steps(whole.whole - part.whole, whole.rest - part.rest)
    return Share(
        jnp.where(valid, _quotient(part, whole), 0.0),
        jnp.where(valid, _quotient(ahead, whole), 1.0),
    )


@partial(jax.jit, static_argnames="whole")
def periods(count: Count, begin: Scalar, steps: Scalar, *, whole: bool) -> Any:
    """Return (count - begin) / steps, at least 0; rounded down if ``whole``."""
    part, period = since(count, begin), split(steps)
    some = period.total > 0
    period = Steps(jnp.where(some, period.whole, 1), jnp.where(some, period.rest, 0.0))
    number = _full(part, period) if whole else part.total / period.total
    return jnp.where(some, jnp.maximum(number, 0.0), 0.0)


def _full(part: Steps, period: Steps) -> Any:
    """Return how many full periods there are."""
    in_whole_steps = (period.rest == 0) & (part.rest == 0)
    exact = part.whole // jnp.maximum(period.whole, 1)
    close = jnp.floor(part.total / period.total)
    # A division may come out a little off where it has no remainder.
    remainder = part.total - close * period.total
    close = close + (remainder >= period.total) - (remainder < 0)
    return jnp.where(in_whole_steps, exact * 1.0, close)


def _quotient(part: Steps, whole: Steps) -> Any:
    """Return part / whole, kept in [0, 1].

    The quotient of the rounded numbers tells its first 16 binary places; what remains
    is found in integers, where it is exact, and divided again.
    """
    rough = part.total / whole.total
    kept = jnp.clip(rough, 0.0, 1.0)
    digits = jnp.round(jax.lax.stop_gradient(kept) * _UNIT).astype(jnp.int32)
    # The products may overflow, but their difference is small, and so comes out right.
    remainder = (part.whole * _UNIT - digits * whole.whole) * 1.0
    remainder = remainder + (part.rest * _UNIT - digits * whole.rest)
    fine = digits * (1 / _UNIT) + remainder / whole.total * (1 / _UNIT)
    usual = (part.rest < 1) & (whole.rest < 1) & (rough == kept)
    return jnp.where(usual, jnp.clip(fine, 0.0, 1.0), kept)
