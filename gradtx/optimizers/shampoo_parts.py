"""What the forms of Shampoo share: mean, blocks, sums of squares, steps, grafting."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, largest_square, one_minus_power
from gradtx.common.types import (
    Count,
    DTypeLike,
    Scalar,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import (
    GradientTransformation,
)
from gradtx.linalg.blocks import Blocks, Dims, merged_backwards

LEAST_NORM = 1e-16


# --- the mean ----------------------------------------------------------------


class Mean(NamedTuple):
    """The slot of :func:`averaging`."""

    mu: Updates


def averaging(
    b1: Scalar, b3: Scalar | None, mu_dtype: DTypeLike | None, *, correct: bool
) -> GradientTransformation:
    """Make the running mean, which may take another share of the newest gradient.

        m̄ = β₃ m + (1 - β₃) g,  m ← β₁ m + (1 - β₁) g,  m̄ / (1 - β₃ β₁ᵗ⁻¹)

    Without β₃, m̄ is the new m; where β₁ is 0, it is g. ``update`` wants ``step``, t.
    """
    b3 = b1 if b3 is None else b3

    def rule(g: jax.Array, m: jax.Array, *, step: Count) -> tuple[jax.Array, jax.Array]:
        mean = ema(m, g, b3)
        if correct:
            kept = 1 - one_minus_power(b1, step - 1, g.dtype)
            mean = mean / (1 - jnp.asarray(b3, g.dtype) * kept)
        return jnp.where(jnp.asarray(b1) == 0, g, mean), ema(m, g, b1)

    return leafwise(rule, Mean, mu=partial(zeros, dtype=mu_dtype))


# --- blocks ------------------------------------------------------------------


def planning(limit: int, target: int | None) -> Callable[..., Blocks]:
    """Return how leaves are merged and cut; axes of length 1 vanish.

    Where there are dimension numbers nothing is merged.
    """

    def plan(shape: Dims, numbers: Any, path: Any, *, left: bool) -> Blocks:
        del left
        axes = target if numbers is None else None
        merge = partial(merged_backwards, limit=limit, target=axes)
        return Blocks(shape, numbers, path, merge=merge, limit=limit)

    return plan


def of_order(given: Any, order: int, axis: int, default: Any) -> Any:
    """Return what a mapping from orders, or from orders and axes, says of an axis."""
    found = default if given is None else given.get(order, default)
    return found.get(axis, default) if isinstance(found, Mapping) else found


# --- sums of squares ---------------------------------------------------------


def sum_or_mean(old: jax.Array, new: jax.Array, decay: Scalar) -> jax.Array:
    """Return one step of a running mean, or of a sum where the decay is 1; bounded."""
    weight = jnp.where(jnp.asarray(decay) == 1, 1.0, 1 - decay).astype(old.dtype)
    bound = largest_square(old.dtype)
    return jnp.clip(weight * new + decay * old, -bound, bound)


def unbiased(x: jax.Array, decay: Scalar, t: Count, *, correct: bool) -> jax.Array:
    """Return a mean without its bias, and a sum as it is."""
    if not correct:
        return x
    share = one_minus_power(decay, t, x.dtype)
    return x / jnp.where(jnp.asarray(decay) == 1, 1, share)


def is_due(t: Count, every: int, start: int | None) -> jax.Array:
    """Return whether the costly part is done at step t."""
    first = every if start is None else start
    return ((t % every == 0) & (t > first)) | (t == first)


def check_settings(
    b1: Any, b2: Any, b3: Any, eps: Any, every: Any, start: Any, limit: Any, target: Any
) -> None:
    """Refuse settings that are outside their ranges."""
    checks.decay_rates(b1=b1, b3=b3)
    checks.unit_interval(b2=b2)
    checks.non_negative(eps=eps)
    checks.positive_int(
        precondition_frequency=every,
        start_preconditioning_step=1 if start is None else start,
        max_preconditioner_dim=limit,
        target_dims=1 if target is None else target,
    )
