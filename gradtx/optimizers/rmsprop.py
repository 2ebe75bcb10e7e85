"""RMSProp: divide the gradient by a running mean of its size."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    compute_dtype,
    debias,
    ema,
    ema_of_squares,
    inverse_sqrt,
    safe_divide,
    sqrt,
    square,
)
from gradtx.common.types import (
    Count,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, identity, transformation
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.primitives.momentum import trace
from gradtx.wrappers.chain import chain


class ScaleByRmsState(NamedTuple):
    """What :func:`scale_by_rms` remembers."""

    nu: SecondMoment  # v, the mean of the squares


class ScaleByRmsWithCountState(NamedTuple):
    """What :func:`scale_by_rms` remembers when it corrects the bias."""

    count: Count
    nu: SecondMoment


class ScaleByRStdDevState(NamedTuple):
    """What :func:`scale_by_stddev` remembers."""

    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of their squares


class ScaleByRStdDevWithCountState(NamedTuple):
    """What :func:`scale_by_stddev` remembers when it corrects the bias."""

    count: Count
    mu: Updates
    nu: SecondMoment


@transformation
def scale_by_rms(
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide the gradient by the root of its mean square.

        v ← β v + (1 - β) |g|²
        u = g / √(v + ε)             or g / (√v + ε), with ε outside the root

    Args:
      decay: β, how much of the mean square is kept at each step.
      eps: ε.
      initial_scale: what v starts from.
      eps_in_sqrt: whether ε stands inside the root (as in Keras) or outside (PyTorch).
      bias_correction: whether to divide v by 1 - βᵗ first.

    Raises:
      ValueError: if ``decay`` is outside [0, 1), or another number is negative.

    Reference: Hinton, 2012, Neural Networks for Machine Learning, lecture 6e

    Example:
      >>> tx, params = gradtx.scale_by_rms(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 3.1620002 -3.1620002]
    """
    _check(decay, eps, initial_scale)

    def rule(
        g: jax.Array, v: jax.Array, *, t: Count = None
    ) -> tuple[jax.Array, jax.Array]:
        v = ema_of_squares(v, g, decay)
        nu = debias(v, decay, t) if bias_correction else v
        return _inverse_root(nu, eps, inside=eps_in_sqrt) * g, v

    state = ScaleByRmsWithCountState if bias_correction else ScaleByRmsState
    return leafwise(rule, state, nu=partial(squares, fill=initial_scale))


@transformation
def scale_by_stddev(
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide the gradient by its standard deviation: RMSProp, centered.

        m ← β m + (1 - β) g
        v ← β v + (1 - β) |g|²
        u = g / √(max(v - |m|², 0) + ε)        or g / (√max(v - |m|², 0) + ε)

    The maximum matters: on steady gradients v - |m|² rounds to below zero.

    Args:
      decay: β, how much of the means is kept at each step.
      eps: ε.
      initial_scale: what v starts from.
      eps_in_sqrt: whether ε stands inside the root (as in Keras) or outside (PyTorch).
      bias_correction: whether to divide m and v by 1 - βᵗ first.

    Raises:
      ValueError: if ``decay`` is outside [0, 1), or another number is negative.

    Reference: Graves, 2013, https://arxiv.org/abs/1308.0850 (equations 38 to 40)

    Example:
      >>> tx, params = gradtx.scale_by_stddev(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 3.3330002 -3.3330002]
    """
    _check(decay, eps, initial_scale)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count = None
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, decay)
        v = ema_of_squares(v, g, decay)
        mean, nu = m, v
        if bias_correction:
            mean, nu = debias(m, decay, t), debias(v, decay, t)
        variance = jnp.maximum(nu - square(mean), 0)
        return _inverse_root(variance, eps, inside=eps_in_sqrt) * g, m, v

    state = ScaleByRStdDevWithCountState if bias_correction else ScaleByRStdDevState
    # The mean is subtracted from the squares, so it is kept as precisely as they are.
    return leafwise(
        rule, state, mu=_precise_zeros, nu=partial(squares, fill=initial_scale)
    )


def _check(decay: Scalar, eps: Scalar, initial_scale: Scalar) -> None:
    checks.decay_rates(decay=decay)
    checks.non_negative(eps=eps, initial_scale=initial_scale)


def _inverse_root(nu: jax.Array, eps: Scalar, *, inside: bool) -> jax.Array:
    if inside:
        return inverse_sqrt(nu + eps)
    root = sqrt(nu) + eps
    return safe_divide(jnp.ones_like(root), root)


def _precise_zeros(p: jax.Array) -> jax.Array:
    return zeros(p, dtype=compute_dtype(p.dtype))


@transformation
def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """RMSProp: :func:`scale_by_rms` or, centered, :func:`scale_by_stddev`.

        p ← p - η u                         plain
        b ← -η u + μ b,    p ← p + b        with momentum: η inside the sum

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      decay: β, how much of the mean square is kept at each step.
      eps: ε.
      initial_scale: what the mean square starts from.
      eps_in_sqrt: whether ε stands inside the root.
      centered: whether to divide by the standard deviation.
      momentum: μ; None keeps no sum.
      nesterov: whether the momentum looks ahead.
      bias_correction: whether to make up for the means' start.

    Raises:
      ValueError: if a decay is outside its range, or another number but the learning
        rate is negative.

    Reference: Hinton, 2012, Neural Networks for Machine Learning, lecture 6e; Graves,
      2013, https://arxiv.org/abs/1308.0850

    Example:
      >>> tx, params = gradtx.rmsprop(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.316  0.316]
    """
    checks.unit_interval(momentum=momentum)
    direction = scale_by_stddev if centered else scale_by_rms
    return chain(
        direction(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )
