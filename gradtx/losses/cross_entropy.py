"""Multiclass classification losses, of logits."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.common import checks
from gradtx.common.types import Scalar
from gradtx.losses import arrays


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return the cross entropy of a softmax from a distribution over the classes.

        -Σⱼ yⱼ log pⱼ           with p = softmax(z)

    With 0 · log 0 = 0: a logit of -∞ costs nothing where its label is 0.

    Args:
      logits: z, of shape (..., classes), the classes along ``axis``.
      labels: y, a distribution over the same classes; the other axes may broadcast.
      axis: the axis or axes of the classes; None for all.
      where: which elements to include, of the shape of the logits, or without their
        classes for whole examples. Classes left out get no probability; an example
        left out has the loss 0.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if the logits are not real floating-point numbers.

    Example:
      >>> print(
      ...     gradtx.softmax_cross_entropy(jnp.zeros(2), jnp.array([0.0, 1.0])).round(3)
      ... )
      0.693
    """
    return _softmax_loss("softmax_cross_entropy", logits, labels, axis, where)


def safe_softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Return :func:`softmax_cross_entropy` along the last axis.

    Both take 0 · log 0 as 0; the name is kept for programs that know it.

    Args:
      logits: z, of shape (..., classes).
      labels: y, a distribution over the classes, which may lack leading axes.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if the logits are not real floating-point numbers.

    Example:
      >>> labels = jnp.array([1.0, 0.0])
      >>> print(gradtx.safe_softmax_cross_entropy(jnp.array([0.0, -jnp.inf]), labels))
      -0.0
    """
    return _softmax_loss("safe_softmax_cross_entropy", logits, labels, -1, None)


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: int | Sequence[int] = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return the cross entropy of a softmax from a class number.

        log Σⱼ exp zⱼ - z_y

    A label outside 0 ... classes - 1, also -1, means no class: its loss is NaN, and
    its gradient 0. Leave such examples out by ``where`` or ``jnp.where(known, loss,
    0)``.

    Args:
      logits: z, of shape (..., classes), the classes along ``axis``.
      labels: y, integers, of the shape of the logits without ``axis``.
      axis: the axis of the classes. For several axes a label counts through their
        product in the order given, the last one fastest.
      where: which elements to include, of the shape of the logits, or of the labels
        for whole examples. Classes left out are left out of the sum; an example left
        out has the loss 0.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if the logits are not real floating-point numbers, or the labels not
        integers.

    Example:
      >>> loss = gradtx.softmax_cross_entropy_with_integer_labels(
      ...     jnp.zeros((1, 4)), jnp.array([2])
      ... )
      >>> print(loss.round(3))  # log 4
      [1.386]
    """
    name = "softmax_cross_entropy_with_integer_labels"
    dtype, (z,) = arrays.widen(arrays.floating(name, "logits", logits))
    y = arrays.integers(name, "labels", labels)
    mask = arrays.inclusion(name, where, z.shape, axis)
    z = _classes_last(z, axis)
    if mask is None:
        z, chosen, known = arrays.pick(name, z, y)
        return arrays.only(known, _gap(z, chosen, None)).astype(dtype)
    mask = _classes_last(mask, axis)
    example = jnp.any(mask, -1, keepdims=True)
    z, chosen, known = arrays.pick(name, jnp.where(example, z, 0), y)
    loss = arrays.only(known, _gap(z, chosen, mask | ~example))
    return jnp.where(example[..., 0], loss, 0).astype(dtype)


def poly_loss_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: Scalar = 2.0,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return Poly-1: the cross entropy with a heavier first polynomial term.

        -Σⱼ yⱼ log pⱼ + ε Σⱼ yⱼ (1 - pⱼ)           with p = softmax(z)

    Args:
      logits: z, of shape (..., classes), the classes along ``axis``.
      labels: y, a distribution over the same classes; the other axes may broadcast.
      epsilon: ε; the paper takes 2 for ImageNet and -1 for detection.
      axis: the axis or axes of the classes; None for all.
      where: as in :func:`softmax_cross_entropy`.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if the logits are not real floating-point numbers.

    Reference: Leng et al., PolyLoss, 2022. https://arxiv.org/abs/2204.12511

    Example:
      >>> print(
      ...     gradtx.losses.poly_loss_cross_entropy(
      ...         jnp.zeros(2), jnp.array([0.0, 1.0])
      ...     ).round(3)
      ... )
      1.6930001
    """
    arrays.settings(checks.finite, epsilon=epsilon)
    name = "poly_loss_cross_entropy"
    z, y, mask, dtype = arrays.vectors(name, axis, where, logits=logits, labels=labels)
    over = arrays.axes(axis, z.ndim)
    log_p = _log_softmax(z, over, mask)
    doubt = jnp.sum(y * -jnp.expm1(log_p), over)
    return (_cross_entropy(log_p, y, over) + epsilon * doubt).astype(dtype)


def _softmax_loss(
    name: str,
    logits: ArrayLike,
    labels: ArrayLike,
    axis: arrays.Axis,
    where: ArrayLike | None,
) -> jax.Array:
    z, y, mask, dtype = arrays.vectors(name, axis, where, logits=logits, labels=labels)
    over = arrays.axes(axis, z.ndim)
    return _cross_entropy(_log_softmax(z, over, mask), y, over).astype(dtype)


def _log_softmax(
    z: jax.Array, over: tuple[int, ...], mask: jax.Array | None
) -> jax.Array:
    """Return log softmax(z) among the elements of ``mask``, and 0 elsewhere."""
    if mask is None:
        return jax.nn.log_softmax(z, over)
    nothing = ~jnp.any(mask, over, keepdims=True)
    log_p = jax.nn.log_softmax(z, over, where=mask | nothing)
    return jnp.where(mask, log_p, 0)


def _cross_entropy(log_p: jax.Array, y: jax.Array, over: tuple[int, ...]) -> jax.Array:
    return -jnp.sum(arrays.weigh(y, log_p), over)


def _classes_last(x: jax.Array, axis: int | Sequence[int]) -> jax.Array:
    """Return x with the axes of its classes joined into one at the end."""
    over = arrays.axes(axis, x.ndim)
    batch = tuple(i for i in range(x.ndim) if i not in over)
    sizes = tuple(x.shape[i] for i in batch)
    classes = math.prod(x.shape[i] for i in over)
    return x.transpose(batch + over).reshape(*sizes, classes)


def _gap(z: jax.Array, chosen: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Return log Σ exp z - chosen, with the largest logit taken from both first."""
    if mask is not None:
        z = jnp.where(mask, z, -jnp.inf)
    top = jnp.max(z, -1, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0))
    total = jnp.sum(jnp.exp(z - top[..., None]), -1)  # at least 1
    return jnp.log(total) - (chosen - top)
