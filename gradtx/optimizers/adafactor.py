"""Adafactor: keep the sums of rows and columns in place of a matrix of squares."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    ema,
    inverse_sqrt,
    mean,
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
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, totals, unused, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.core.whole import of_whole_leaves
from gradtx.primitives.clip import clip_by_block_rms
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.primitives.momentum import EmaState
from gradtx.primitives.scale import scale
from gradtx.primitives.trust_ratio import scale_by_param_block_rms
from gradtx.wrappers.chain import chain


class FactoredState(NamedTuple):
    """What :func:`scale_by_factored_rms` remembers.

    Of ``v_row`` and ``v_col`` or ``v`` only those are used that suit the leaf; the
    others hold a single 0.
    """

    count: Count
    v_row: SecondMoment  # R, the means of the squares over the longest axis
    v_col: SecondMoment  # C, over the second longest
    v: SecondMoment  # V, the mean squares of leaves that are not factored


def power_decay(step: Count, exponent: Scalar) -> jax.Array:
    """Return 1 - t⁻ᶜ for step t = step + 1 and exponent c: 0 at first, later near 1."""
    return 1 - jnp.asarray(step + 1, float) ** -exponent


@transformation
def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: Scalar = 0.8,
    step_offset: int = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: Scalar = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] = power_decay,
) -> GradientTransformation:
    """Divide by the root mean square, of which only row and column means are kept.

        β = 1 - t⁻ᶜ
        R ← β R + (1 - β) mean(|g|² + ε, over the longest axis)
        C ← β C + (1 - β) mean(|g|² + ε, over the second longest)
        u = g / √(R C / mean(R))
        V ← β V + (1 - β) (|g|² + ε),  u = g / √V            where not factored

    The means are kept in at least float32.

    Args:
      factored: whether to factor at all.
      decay_rate: c.
      step_offset: the step that fine-tuning began with, for a state that has counted
        up to it. Earlier steps have the decay rate of the first.
      min_dim_size_to_factor: a leaf is factored if its two longest axes are at least
        as long as this.
      epsilon: ε.
      decay_rate_fn: what gives β instead, from the number of steps taken since
        ``step_offset``, and c.

    Raises:
      ValueError: if a number is negative.

    Reference: Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235 (Algorithms 4
      and 5)

    Example:
      >>> tx, params = gradtx.scale_by_factored_rms(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 1.  1.]
       [ 0. -1.]]
    """
    checks.non_negative(decay_rate=decay_rate, step_offset=step_offset, epsilon=epsilon)

    def axes_of(x: jax.Array) -> tuple[int, int] | None:
        return factored_axes(x.shape, min_dim_size_to_factor) if factored else None

    def rule(
        g: jax.Array, row: jax.Array, col: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        decay = decay_rate_fn(jnp.maximum(t - 1 - step_offset, 0), decay_rate)
        square = abs_sq(g) + epsilon
        axes = axes_of(g)
        if axes is None:
            v = ema(v, square, decay)
            return safe_divide(g, sqrt(v)), row, col, v
        row = ema(row, mean(square, axes[1]), decay)
        col = ema(col, mean(square, axes[0]), decay)
        return over_outer(g, row, col, axes), row, col, v

    def side(keep: int, p: jax.Array) -> jax.Array:
        axes = axes_of(p)
        return unused(p) if axes is None else totals(p, axis=axes[1 - keep])

    return of_whole_leaves(
        leafwise(
            rule,
            FactoredState,
            elementwise=False,
            v_row=partial(side, 0),
            v_col=partial(side, 1),
            v=lambda p: squares(p) if axes_of(p) is None else unused(p),
        ),
        2,
    )


def factored_axes(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """Return the second longest axis and the longest, if both are long enough."""
    *_, second, first = (-1, -1, *sorted(range(len(shape)), key=shape.__getitem__))
    if second < 0 or shape[second] < max(least, 1):
        return None
    return second, first


def over_outer(
    g: jax.Array, row: jax.Array, col: jax.Array, axes: tuple[int, int]
) -> jax.Array:
    """Return g / √(R C / mean(R)) for the means R and C.

    Their roots are divided one after another: a product of two small means vanishes.

    Args:
      g: any array.
      row: R, without the second of the axes.
      col: C, without the first.
      axes: the axis along which R gives a mean for every index, and that of C.
    """
    second, first = axes
    whole = mean(row, second - (second > first), keepdims=True)
    down = jnp.expand_dims(inverse_sqrt(row), first)
    across = sqrt(jnp.expand_dims(whole, first)) * jnp.expand_dims(
        inverse_sqrt(col), second
    )
    return (g * down) * across


@transformation
def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Scalar = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Scalar | None = 1.0,
    momentum: Scalar | None = None,
    dtype_momentum: DTypeLike = jnp.float32,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: Scalar = 1e-30,
    factored: bool = True,
    weight_decay_mask: MaskOrFn | None = None,
) -> GradientTransformation:
    """Adafactor: :func:`scale_by_factored_rms`, clipped, relative to the parameter.

        u ← g / √V̂                               V̂ from rows and columns
        u ← u / max(1, rms(u) / d)
        p ← p - η max(10⁻³, rms(p)) u

    The paper's relative step size is the schedule η = min(10⁻², 1 / √t).

    Args:
      learning_rate: η, or a schedule of the number of steps taken; None stands for 1.
      min_dim_size_to_factor: how long two axes must be for a leaf to be factored.
      decay_rate: c in the decay 1 - t⁻ᶜ.
      decay_offset: the step that fine-tuning began with.
      multiply_by_parameter_scale: whether steps are relative to the parameter's size.
      clipping_threshold: d; None leaves the clipping out.
      momentum: β₁ of a running mean of the steps; None keeps none.
      dtype_momentum: the type to keep that mean in; of complex parameters the complex
        type that goes with it, and the parameter's if None.
      weight_decay_rate: how much of the parameter to subtract at each step, or a
        schedule of it; it is not multiplied by the learning rate.
      eps: ε, added to the squares.
      factored: whether to factor at all.
      weight_decay_mask: which leaves decay, as :func:`add_decayed_weights` takes it.

    Raises:
      ValueError: if a number but the learning rate is negative, or a decay outside its
        range.

    Reference: Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235

    Example:
      >>> tx, params = gradtx.adafactor(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.07 -0.07]
       [-0.    0.07]]
    """
    checks.non_negative(
        decay_offset=decay_offset, weight_decay_rate=weight_decay_rate, eps=eps
    )
    checks.positive(clipping_threshold=clipping_threshold)
    checks.decay_rates(momentum=momentum)
    links = [
        scale_by_factored_rms(
            factored, decay_rate, decay_offset, min_dim_size_to_factor, eps
        )
    ]
    if clipping_threshold is not None:
        links.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        links.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        links.append(scale_by_param_block_rms())
    if momentum is not None:
        links.append(_mean_of_steps(momentum, dtype_momentum))
    if weight_decay_rate is not None:
        links.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*links, scale(-1))


def _mean_of_steps(decay: Scalar, dtype: DTypeLike) -> GradientTransformation:
    """Return :func:`ema` without its correction, and complex where parameters are."""

    def slot(p: jax.Array) -> jax.Array:
        if dtype is None or not jnp.iscomplexobj(p):
            return zeros(p, dtype=dtype)
        return zeros(p, dtype=jnp.promote_types(dtype, p.dtype))

    def rule(u: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        m = ema(m, u, decay)
        return m, m

    return leafwise(rule, EmaState, ema=slot)
