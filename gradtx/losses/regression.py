"""Regression losses, and the cosine similarity."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.common import checks, numerics
from gradtx.common.types import Scalar
from gradtx.losses import arrays


def squared_error(
    predictions: ArrayLike, targets: ArrayLike | None = None
) -> jax.Array:
    """Return the square of each error, (p - y)².

    Args:
      predictions: p, of any shape.
      targets: y, of the same shape; zeros if not given.

    Raises:
      ValueError: if the shapes differ.
      TypeError: if the predictions are not real floating-point numbers.

    Example:
      >>> print(gradtx.squared_error(jnp.array([3.0, 1.0]), jnp.array([1.0, 1.0])))
      [4. 0.]
    """
    error, dtype = _error("squared_error", predictions, targets, equal=True)
    return jnp.square(error).astype(dtype)


def l2_loss(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """Return half the square of each error, (p - y)² / 2, whose slope is the error.

    Args:
      predictions: p, of any shape.
      targets: y, of the same shape; zeros if not given.

    Raises:
      ValueError: if the shapes differ.
      TypeError: if the predictions are not real floating-point numbers.

    Example:
      >>> print(gradtx.l2_loss(jnp.array([3.0, 1.0]), jnp.array([1.0, 1.0])))
      [2. 0.]
    """
    error, dtype = _error("l2_loss", predictions, targets, equal=True)
    return (0.5 * jnp.square(error)).astype(dtype)


def huber_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    delta: Scalar = 1.0,
) -> jax.Array:
    """Return a loss that is quadratic for small errors and linear for large ones.

        e²/2            if |e| ≤ δ           with e = p - y
        δ (|e| - δ/2)   otherwise

    Its slope is the error clipped to [-δ, δ].

    Args:
      predictions: p, of any shape.
      targets: y, of a shape that broadcasts to that of p; zeros if not given.
      delta: δ, where the loss turns linear.

    Raises:
      ValueError: if the targets do not fit, or delta is negative.
      TypeError: if the predictions are not real floating-point numbers.

    Reference: Huber, Robust Estimation of a Location Parameter, 1964.

    Example:
      >>> print(gradtx.huber_loss(jnp.array([0.5, 3.0])))
      [0.125 2.5  ]
    """
    arrays.settings(checks.non_negative, delta=delta)
    error, dtype = _error("huber_loss", predictions, targets)
    size = jnp.abs(error)
    small = size <= delta
    near = 0.5 * jnp.square(jnp.where(small, error, 0))
    return jnp.where(small, near, delta * (size - 0.5 * delta)).astype(dtype)


def log_cosh(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """Return log cosh(p - y): e²/2 for small errors e, |e| - log 2 for large ones.

    A smooth relative of the Huber loss, whose slope is tanh(e).

    Args:
      predictions: p, of any shape.
      targets: y, of a shape that broadcasts to that of p; zeros if not given.

    Raises:
      ValueError: if the targets do not fit.
      TypeError: if the predictions are not real floating-point numbers.

    Reference: Chen et al., Log Hyperbolic Cosine Loss Improves Variational
      Auto-Encoder, 2019.

    Example:
      >>> print(gradtx.log_cosh(jnp.array([0.0, 1.0])).round(3))
      [0.         0.43400002]
    """
    error, dtype = _error("log_cosh", predictions, targets)
    size = jnp.abs(error)
    small = size < 1
    # cosh e - 1 = 2 sinh²(e/2) keeps the digits that log(cosh e) loses near 0.
    near = jnp.log1p(2 * jnp.square(jnp.sinh(jnp.where(small, error, 0) / 2)))
    far = size + jnp.log1p(jnp.exp(-2 * size)) - math.log(2)
    return jnp.where(small, near, far).astype(dtype)


def cosine_similarity(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: Scalar = 0.0,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return the cosine of the angle between two vectors, ⟨a, b⟩ / (‖a‖ ‖b‖).

    A zero vector has no direction: its similarity with every vector is 0.

    Args:
      predictions: a, vectors along ``axis``.
      targets: b, vectors of the same length; the other axes may broadcast.
      epsilon: the least that ‖a‖² and ‖b‖² count as.
      axis: the axis or axes of the vectors; None for all.
      where: which elements to include; all if not given.

    Raises:
      ValueError: if the shapes do not belong together, or epsilon is negative.
      TypeError: if an array is not of real floating-point numbers.

    Example:
      >>> print(gradtx.cosine_similarity(jnp.array([1.0, 0.0]), jnp.array([3.0, 0.0])))
      1.0
    """
    cosine, dtype = _cosine(
        "cosine_similarity", predictions, targets, epsilon, axis, where
    )
    return cosine.astype(dtype)


def cosine_distance(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: Scalar = 0.0,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return 1 - cos(a, b): 0 for one direction, 2 for opposite ones.

    A zero vector has no direction: its distance from every vector is 1.

    Args:
      predictions: a, vectors along ``axis``.
      targets: b, vectors of the same length; the other axes may broadcast.
      epsilon: the least that ‖a‖² and ‖b‖² count as, at least 0.
      axis: the axis or axes of the vectors; None for all.
      where: which elements to include; all if not given.

    Raises:
      ValueError: if the shapes do not belong together, or epsilon is negative.
      TypeError: if an array is not of real floating-point numbers.

    Example:
      >>> print(gradtx.cosine_distance(jnp.array([1.0, 0.0]), jnp.array([0.0, 2.0])))
      1.0
    """
    cosine, dtype = _cosine(
        "cosine_distance", predictions, targets, epsilon, axis, where
    )
    return (1 - cosine).astype(dtype)


def _error(
    name: str,
    predictions: ArrayLike,
    targets: ArrayLike | None,
    *,
    equal: bool = False,
) -> tuple[jax.Array, Any]:
    p = arrays.floating(name, "predictions", predictions)
    if targets is None:
        dtype, (p,) = arrays.widen(p)
        return p, dtype
    dtype, (p, y) = arrays.widen(p, arrays.real(name, "targets", targets))
    if equal:
        arrays.same_shape(name, predictions=p, targets=y)
    return p - arrays.fit(name, predictions=p, targets=y), dtype


def _cosine(
    name: str,
    predictions: ArrayLike,
    targets: ArrayLike,
    epsilon: Scalar,
    axis: arrays.Axis,
    where: ArrayLike | None,
) -> tuple[jax.Array, Any]:
    arrays.settings(checks.non_negative, epsilon=epsilon)
    targets = arrays.floating(name, "targets", targets)
    a, b, _, dtype = arrays.vectors(
        name, axis, where, predictions=predictions, targets=targets
    )
    over = arrays.axes(axis, a.ndim)
    floor = numerics.sqrt(jnp.asarray(epsilon, a.dtype))
    return jnp.sum(_unit(a, over, floor) * _unit(b, over, floor), over), dtype


def _unit(x: jax.Array, over: tuple[int, ...], floor: jax.Array) -> jax.Array:
    """Return x / max(‖x‖, floor), and zero vectors as they are."""
    # Divided by its largest entry first, no vector overflows when it is squared.
    largest = jnp.max(jnp.abs(x), over, keepdims=True, initial=0)
    usable = (largest > 0) & jnp.isfinite(largest)
    scale = jax.lax.stop_gradient(jnp.where(usable, largest, 1))
    x = x / scale
    length = numerics.sqrt(jnp.sum(jnp.square(x), over, keepdims=True))
    length = jnp.maximum(length, floor / scale)
    return x / jnp.where(length == 0, 1, length)
