"""ADOPT: Adam that measures a gradient by those before it."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.directions import clip_magnitude
from gradtx.common.numerics import abs_sq, ema, sqrt
from gradtx.common.types import Count, DTypeLike, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.wrappers.chain import descend


def fourth_root(count: Count) -> jax.Array:
    """Return t^(1/4), by which :func:`adopt` bounds its t-th step."""
    return jnp.asarray(count, float) ** 0.25


@transformation
def scale_by_adopt(
    b1: Scalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Count], Scalar] = fourth_root,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Average the gradients, each divided by the root mean square of those before it.

        v ← |g|²                                     at the first step, which has u = 0
        c = clip(g / max(√v, ε), -κ, κ)              κ = t^(1/4), t = 1 at the second
        m ← β₁ m + (1 - β₁) c,   u = m
        v ← β₂ v + (1 - β₂) |g|²

    As v does not know the gradient it divides, the method converges for any β₂. Complex
    entries are clipped along their direction, at |c| ≤ κ.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, the least that is divided by.
      mu_dtype: the type to keep m in; the parameter's if None.
      nesterov: whether the mean looks one step ahead, u = β₁ m + (1 - β₁) c.
      use_clipping: whether to clip c; the paper's first version does not.
      clip_value_fn: κ as a function of the number of steps taken.
      nu_dtype: the type to keep v in; if None the parameter's, and float32 for
        half-precision parameters.

    Raises:
      ValueError: if a decay is outside [0, 1), or ε is negative.

    Reference: Taniguchi et al., 2024, https://arxiv.org/abs/2411.02853

    Example:
      >>> tx, params = gradtx.scale_by_adopt(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [0. 0.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        first = t == 1
        below = jnp.maximum(sqrt(v), eps)
        c = jnp.where(below == 0, 0, g / jnp.where(below == 0, 1, below))
        c = clip_magnitude(c, clip_value_fn(t - 1)) if use_clipping else c
        m = jnp.where(first, m, ema(m, c, b1))
        u = ema(m, c, b1) if nesterov else m
        v = jnp.where(first, abs_sq(g), ema(v, abs_sq(g), b2))
        return jnp.where(first, 0, u), m, v

    return leafwise(
        rule,
        ScaleByAdamState,
        mu=partial(zeros, dtype=mu_dtype),
        nu=partial(squares, dtype=nu_dtype),
    )


@transformation
def adopt(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Count], Scalar] = fourth_root,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """ADOPT: :func:`scale_by_adopt` made an optimizer by :func:`descend`.

    The first step moves nothing: it looks at the size of the gradient only.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, the least that is divided by.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      nesterov: whether the mean looks one step ahead.
      use_clipping: whether to clip the divided gradient; the paper's first version does
        not.
      clip_value_fn: the bound κ as a function of the number of steps taken, which is
        its fourth root unless another is given.
      nu_dtype: the type to keep v, the mean square, in; if None the parameter's, and
        float32 for half-precision parameters.

    Example:
      >>> tx, params = gradtx.adopt(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0. -0.]
    """
    direction = scale_by_adopt(
        b1,
        b2,
        eps,
        mu_dtype,
        nesterov=nesterov,
        use_clipping=use_clipping,
        clip_value_fn=clip_value_fn,
        nu_dtype=nu_dtype,
    )
    return descend(direction, learning_rate)
