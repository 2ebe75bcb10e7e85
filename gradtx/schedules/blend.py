"""From one value to another: along a line, a power or a cosine."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import numerics
from gradtx.common.types import Scalar
from gradtx.schedules.steps import Share


def number(x: Any) -> Any:
    """Return a setting in at least float32; Python's numbers stay as they are."""
    if isinstance(x, int | float):
        return float(x)
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x * 1.0
    return x.astype(numerics.compute_dtype(x.dtype)) if x.dtype.itemsize < 4 else x  # noqa: PLR2004


@jax.jit
def blend(start: Any, end: Any, share: Share) -> Any:
    """Return start·left + end·done: exact at both ends, and between equal values."""
    near_start = start + (end - start) * share.done
    near_end = end + (start - end) * share.left
    value = jnp.where(share.done <= share.left, near_start, near_end)
    # To or from 0 there is nothing to add, and so nothing to round twice.
    value = jnp.where(start == 0, end * share.done, value)
    return jnp.where(end == 0, start * share.left, value)


@jax.jit
def powered(share: Share, power: Scalar) -> Share:
    """Return the share of which leftᵖ is left."""
    p = number(power)
    some = share.left > 0  # elsewhere a power below 1 has no derivative
    left = jnp.where(some, jnp.power(jnp.where(some, share.left, 1.0), p), p == 0)
    # Close to 1, what is done comes from the logarithm, as 1 - leftᵖ would cancel.
    done = jnp.where(share.done < 1, share.done, 0.0)
    small = -jnp.expm1(p * jnp.log1p(-done))
    bent = Share(jnp.where(left > 1 / 2, small, 1 - left), left)
    straight = p == 1
    return Share(
        jnp.where(straight, share.done, bent.done),
        jnp.where(straight, share.left, bent.left),
    )


@jax.jit
def cosine(share: Share) -> Share:
    """Return the share of which ½ (1 + cos(π done)) is left."""
    # By the half angle, so that nothing cancels: sin² of what is left, of what is done.
    half = math.pi / 2
    return Share(
        jnp.square(jnp.sin(half * share.done)), jnp.square(jnp.sin(half * share.left))
    )


def decayed(rate: Scalar, periods: Any) -> Any:
    """Return rateᵖ for p periods."""
    base = number(rate)
    power = jnp.power(base, periods)
    if isinstance(base, float) and base > 0:
        # What float32 has rounded off the rate, over many periods comes to something.
        rounded = float(np.asarray(base, jnp.result_type(float)))
        power = power * jnp.exp(periods * (math.log(base) - math.log(rounded)))
    return power
