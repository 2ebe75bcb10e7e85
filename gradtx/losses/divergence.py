"""Divergences between distributions, in three forms of the target."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.common import checks
from gradtx.losses import arrays


def kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return the Kullback-Leibler divergence of the targets from the predictions.

        Σⱼ yⱼ (log yⱼ - log pⱼ)

    With 0 · log 0 = 0: where the target is 0, the prediction may be 0 too. The slope of
    y log y at 0, which is infinite, counts as 0.

    Args:
      log_predictions: log p, of shape (..., classes), the classes along ``axis``.
      targets: y ≥ 0 over the same classes; the other axes may broadcast.
      axis: the axis or axes of the classes; None for all.
      where: which elements to include; all if not given.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if the predictions are not real floating-point numbers.

    Reference: Kullback and Leibler, On Information and Sufficiency, 1951.

    Example:
      >>> p = jnp.array([0.5, 0.5])
      >>> print(gradtx.kl_divergence(jnp.log(p), p))
      0.0
    """
    name = "kl_divergence"
    log_p, y, mask, dtype = arrays.vectors(
        name, axis, where, log_predictions=log_predictions, targets=targets
    )
    terms = _y_log_y(y) - arrays.weigh(y, log_p)
    return _total(terms, mask, axis).astype(dtype)


def kl_divergence_with_log_targets(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return the Kullback-Leibler divergence for targets given as logarithms.

        Σⱼ exp(tⱼ) (tⱼ - log pⱼ)           with t = log y

    Args:
      log_predictions: log p, of shape (..., classes), the classes along ``axis``.
      log_targets: t over the same classes, -∞ for a target of 0; the other axes may
        broadcast.
      axis: the axis or axes of the classes; None for all.
      where: which elements to include; all if not given.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if an array is not of real floating-point numbers.

    Example:
      >>> log_p = jnp.log(jnp.array([0.5, 0.5]))
      >>> print(gradtx.losses.kl_divergence_with_log_targets(log_p, log_p))
      0.0
    """
    name = "kl_divergence_with_log_targets"
    log_targets = arrays.floating(name, "log_targets", log_targets)
    log_p, t, mask, dtype = arrays.vectors(
        name, axis, where, log_predictions=log_predictions, log_targets=log_targets
    )
    absent = jnp.isneginf(t)
    t = jnp.where(absent, 0, t)
    terms = jnp.where(absent, 0, jnp.exp(t) * (t - jnp.where(absent, 0, log_p)))
    return _total(terms, mask, axis).astype(dtype)


def generalized_kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return the divergence of positive measures that need not sum to 1.

        Σⱼ yⱼ (log yⱼ - log pⱼ) - yⱼ + pⱼ

    The Bregman divergence of x log x; on distributions, the same as
    :func:`kl_divergence`.

    Args:
      log_predictions: log p, of shape (..., classes), the classes along ``axis``.
      targets: y ≥ 0 over the same classes; the other axes may broadcast.
      axis: the axis or axes of the classes; None for all.
      where: which elements to include; all if not given.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if the predictions are not real floating-point numbers.

    Reference: Boyd and Vandenberghe, Convex Optimization, 2004, page 90.

    Example:
      >>> print(gradtx.generalized_kl_divergence(jnp.zeros(2), jnp.ones(2)))
      0.0
    """
    name = "generalized_kl_divergence"
    log_p, y, mask, dtype = arrays.vectors(
        name, axis, where, log_predictions=log_predictions, targets=targets
    )
    terms = _y_log_y(y) - arrays.weigh(y, log_p) - y + jnp.exp(log_p)
    return _total(terms, mask, axis).astype(dtype)


def convex_kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: arrays.Axis = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Return :func:`generalized_kl_divergence`, whose older name this is.

    Args:
      log_predictions: log p, of shape (..., classes), the classes along ``axis``.
      targets: y ≥ 0 over the same classes; the other axes may broadcast.
      axis: the axis or axes of the classes; None for all.
      where: which elements to include; all if not given.

    Example:
      >>> p = jnp.array([0.5, 0.5])
      >>> print(gradtx.convex_kl_divergence(jnp.log(p), p))
      0.0
    """
    checks.deprecated(
        "convex_kl_divergence is deprecated: use generalized_kl_divergence"
    )
    return generalized_kl_divergence(log_predictions, targets, axis, where)


def _y_log_y(y: jax.Array) -> jax.Array:
    return y * jnp.log(jnp.where(y == 0, 1, y))


def _total(terms: jax.Array, mask: jax.Array | None, axis: arrays.Axis) -> jax.Array:
    return jnp.sum(terms, arrays.axes(axis, terms.ndim), where=mask)
