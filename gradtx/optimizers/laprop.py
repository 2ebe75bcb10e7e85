"""LaProp: divide the gradient by its size first, and average then."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    ema_of_squares,
    safe_divide,
    sqrt,
)
from gradtx.common.types import (
    Count,
    DTypeLike,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, wide_zeros, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.wrappers.chain import descend


class ScaleByLapropState(NamedTuple):
    """What :func:`scale_by_laprop` remembers.

    ``mean`` is None unless the squares are centered, ``nu_max`` unless the largest is
    kept.
    """

    count: Count
    mu: Updates  # m, the mean of the divided gradients
    nu: SecondMoment  # v, the mean of the squared gradients
    mean: Updates | None  # a, the mean of the gradients
    nu_max: SecondMoment | None  # w, the largest v so far


@transformation
def scale_by_laprop(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-15,
    mu_dtype: DTypeLike | None = None,
    *,
    amsgrad: bool = False,
    centered_after: int | None = None,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Average gradients that have been divided by their root mean square.

        v ← β₂ v + (1 - β₂) |g|²
        m ← β₁ m + (1 - β₁) g / (√v̂ + ε)       v̂ = v / (1 - β₂ᵗ)
        u = m / (1 - β₁ᵗ)

    Adam averages first and divides then, which bounds its steps only if β₁ < √β₂. Here
    the two decays are free of one another: no step is longer than 1 / √(1 - β₂).

    With ``centered_after`` the variance stands in the place of v, from the step after
    that on; with ``amsgrad`` the largest value so far of what stands there:

        a ← β₂ a + (1 - β₂) g,   v - |a|²  in the place of v
        w ← max(w, v),           w         in the place of v

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      mu_dtype: the type to keep m in; the parameter's if None.
      amsgrad: whether to divide by the largest mean square so far.
      centered_after: for how many steps the squares are not centered; the authors'
        program has 10. They never are, if None.
      nu_dtype: the type to keep v and w in; if None the parameter's, and float32 for
        half-precision parameters.

    Raises:
      ValueError: if a decay is outside [0, 1) or another number negative.

    Reference: Ziyin et al., 2020, https://arxiv.org/abs/2002.04839

    Example:
      >>> tx, params = gradtx.scale_by_laprop(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, centered_after=centered_after)
    more: dict[str, Any] = {}
    if centered_after is not None:
        more["mean"] = wide_zeros
    if amsgrad:
        more["nu_max"] = partial(squares, dtype=nu_dtype)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *others: jax.Array, t: Count
    ) -> tuple[jax.Array, ...]:
        slots = dict(zip(more, others, strict=True))
        v = below = ema_of_squares(v, g, b2)
        due = True if centered_after is None else t > centered_after
        if centered_after is not None:
            slots["mean"] = ema(slots["mean"], g, b2)
            variance = jnp.maximum(v - abs_sq(slots["mean"]), 0)
            below = jnp.where(due, variance, v)
        if amsgrad:
            largest = jnp.maximum(slots["nu_max"], below)
            slots["nu_max"] = jnp.where(due, largest, slots["nu_max"])
            below = jnp.where(due, largest, below)
        m = ema(m, safe_divide(g, sqrt(debias(below, b2, t)) + eps), b1)
        return debias(m, b1, t), m, v, *slots.values()

    return leafwise(
        rule,
        ScaleByLapropState,
        mu=partial(zeros, dtype=mu_dtype),
        nu=partial(squares, dtype=nu_dtype),
        **more,
    )


@transformation
def laprop(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-15,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    amsgrad: bool = False,
    centered_after: int | None = None,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """LaProp: :func:`scale_by_laprop` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    The authors' program decays after the step and by λ itself:
    ``chain(scale_by_laprop(...), scale_by_learning_rate(η), decay_after_step(1.0, λ))``
    does so. The rate η stays outside of the mean, as in the paper; the program has it
    inside, which is the same for a constant η.

    Args:
      learning_rate: η, or a schedule of the number of steps taken; the authors have
        4e-4.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      weight_decay: λ, or a schedule of it; None leaves the decay out.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      mu_dtype: the type to keep m in; the parameter's if None.
      amsgrad: whether to divide by the largest mean square so far.
      centered_after: for how many steps the squares are not centered; never centered,
        if None.
      nu_dtype: the type to keep squares in; if None the parameter's, and float32 for
        half-precision parameters.

    Raises:
      ValueError: if a decay rate is outside [0, 1), or another number but the
        learning rate is negative.

    Reference: Ziyin et al., 2020, https://arxiv.org/abs/2002.04839

    Example:
      >>> tx, params = gradtx.laprop(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_laprop(
        b1,
        b2,
        eps,
        mu_dtype,
        amsgrad=amsgrad,
        centered_after=centered_after,
        nu_dtype=nu_dtype,
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
