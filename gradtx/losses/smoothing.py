"""Label smoothing."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.common import checks
from gradtx.common.types import Scalar
from gradtx.losses import arrays


def smooth_labels(
    labels: ArrayLike,
    alpha: Scalar,
    *,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Mix each distribution with the uniform one, (1 - α) y + α / K.

    Args:
      labels: y, distributions over K classes along ``axis``, such as one-hot vectors.
      alpha: α in [0, 1], the part of the uniform distribution.
      axis: the axis or axes of the classes; None for all.
      where: which elements count in K; all if not given.

    Raises:
      ValueError: if alpha lies outside [0, 1], or ``where`` does not fit.
      TypeError: if the labels are not real floating-point numbers.

    Reference: Müller et al., When Does Label Smoothing Help?, 2019.
      https://arxiv.org/abs/1906.02629

    Example:
      >>> print(gradtx.smooth_labels(jnp.array([0.0, 1.0]), 0.1))
      [0.05 0.95]
    """
    arrays.settings(checks.unit_interval, alpha=alpha)
    name = "smooth_labels"
    dtype, (y,) = arrays.widen(arrays.floating(name, "labels", labels))
    over = arrays.axes(axis, y.ndim)
    mask = arrays.inclusion(name, where, y.shape, axis)
    mask = jnp.ones(y.shape, jnp.bool_) if mask is None else mask
    classes = jnp.sum(mask, over, keepdims=True).astype(y.dtype)
    return ((1 - alpha) * y + alpha / jnp.maximum(classes, 1)).astype(dtype)
