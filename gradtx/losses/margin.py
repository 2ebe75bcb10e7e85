"""Margin losses: hinge and perceptron."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.losses import arrays


def hinge_loss(predictor_outputs: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Return max(0, 1 - s y): nothing once the score is right by a margin of 1.

    Args:
      predictor_outputs: s, scores of any shape.
      targets: y, each -1 or 1, of a shape that broadcasts to that of the scores.

    Raises:
      ValueError: if the targets do not fit.

    Example:
      >>> print(gradtx.hinge_loss(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0])))
      [0.  1.5]
    """
    agreement, dtype = _agreement("hinge_loss", predictor_outputs, targets)
    return jnp.maximum(0, 1 - agreement).astype(dtype)


def perceptron_loss(predictor_outputs: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Return max(0, -s y): nothing once the score has the right sign.

    Args:
      predictor_outputs: s, scores of any shape.
      targets: y, each -1 or 1, of the same shape.

    Raises:
      ValueError: if the shapes differ.

    Reference: Rosenblatt, The Perceptron, 1958.

    Example:
      >>> print(
      ...     gradtx.losses.perceptron_loss(
      ...         jnp.array([2.0, -3.0]), jnp.array([1.0, 1.0])
      ...     )
      ... )
      [0. 3.]
    """
    agreement, dtype = _agreement(
        "perceptron_loss", predictor_outputs, targets, equal=True
    )
    return jnp.maximum(0, -agreement).astype(dtype)


def multiclass_hinge_loss(scores: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Return by how much the right class fails to lead by a margin of 1.

        maxⱼ (sⱼ + [j ≠ y]) - s_y

    A label that is not a class has the loss NaN and the gradient 0.

    Args:
      scores: s, of shape (..., classes).
      labels: y, integers of shape (...).

    Raises:
      ValueError: if the labels do not fit.
      TypeError: if the labels are not integers.

    Reference: Crammer and Singer, On the Algorithmic Implementation of Multiclass
      Kernel-based Vector Machines, 2001.

    Example:
      >>> print(
      ...     gradtx.losses.multiclass_hinge_loss(jnp.array([1.0, 3.0]), jnp.array(0))
      ... )
      3.0
    """
    s, chosen, known, y, dtype = _choice("multiclass_hinge_loss", scores, labels)
    rival = 1 - jax.nn.one_hot(y, s.shape[-1], dtype=s.dtype)
    best = jnp.max(s + rival, axis=-1)
    return arrays.only(known, best - chosen).astype(dtype)


def multiclass_perceptron_loss(scores: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Return how far the right class is behind the best one, maxⱼ sⱼ - s_y.

    A label that is not a class has the loss NaN and the gradient 0.

    Args:
      scores: s, of shape (..., classes).
      labels: y, integers of shape (...).

    Raises:
      ValueError: if the labels do not fit.
      TypeError: if the labels are not integers.

    Reference: Collins, Discriminative Training Methods for Hidden Markov Models, 2002.

    Example:
      >>> print(
      ...     gradtx.losses.multiclass_perceptron_loss(
      ...         jnp.array([1.0, 3.0]), jnp.array(0)
      ...     )
      ... )
      2.0
    """
    s, chosen, known, _, dtype = _choice("multiclass_perceptron_loss", scores, labels)
    return arrays.only(known, jnp.max(s, axis=-1) - chosen).astype(dtype)


def _agreement(
    name: str, outputs: ArrayLike, targets: ArrayLike, *, equal: bool = False
) -> tuple[jax.Array, Any]:
    dtype, (s, y) = arrays.widen(
        arrays.real(name, "predictor_outputs", outputs),
        arrays.real(name, "targets", targets),
    )
    if equal:
        arrays.same_shape(name, predictor_outputs=s, targets=y)
    return s * arrays.fit(name, predictor_outputs=s, targets=y), dtype


def _choice(
    name: str, scores: ArrayLike, labels: ArrayLike
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, Any]:
    dtype, (s,) = arrays.widen(arrays.real(name, "scores", scores))
    y = arrays.integers(name, "labels", labels)
    s, chosen, known = arrays.pick(name, s, y)
    return s, chosen, known, jnp.broadcast_to(y, known.shape), dtype
