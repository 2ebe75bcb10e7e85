"""Binary classification losses, of logits."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.common import checks
from gradtx.common.types import Scalar
from gradtx.losses import arrays

_SURE = 1e30


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Return the binary cross entropy of each logit.

        -y log p - (1 - y) log(1 - p)           with p = sigmoid(z)

    Args:
      logits: z, of any shape.
      labels: y in [0, 1], of a shape that broadcasts to that of the logits.

    Raises:
      ValueError: if the labels do not fit.
      TypeError: if the logits are not real floating-point numbers.

    Example:
      >>> print(gradtx.sigmoid_binary_cross_entropy(jnp.zeros(1), jnp.ones(1)).round(3))
      [0.693]
    """
    z, y, dtype = _answers("sigmoid_binary_cross_entropy", logits, labels)
    return _cross_entropy(z, y).astype(dtype)


def sigmoid_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Scalar | None = None,
    gamma: Scalar = 2.0,
) -> jax.Array:
    """Return the focal loss: the cross entropy with less weight on easy examples.

        w (1 - q)^γ · (-y log p - (1 - y) log(1 - p))
            with p = sigmoid(z), q = y p + (1 - y)(1 - p), w = α y + (1 - α)(1 - y)

    Args:
      logits: z, of any shape.
      labels: y in [0, 1], of a shape that broadcasts to that of the logits.
      alpha: α in [0, 1], the weight of the positive class; w is 1 if not given.
      gamma: γ ≥ 0, how strongly easy examples are down-weighted.

    Raises:
      ValueError: if the labels do not fit, alpha lies outside [0, 1], or gamma is
        negative.
      TypeError: if the logits are not real floating-point numbers.

    Reference: Lin et al., Focal Loss for Dense Object Detection, 2017.
      https://arxiv.org/abs/1708.02002

    Example:
      >>> loss = gradtx.sigmoid_focal_loss(jnp.array([0.0, 3.0]), jnp.ones(2))
      >>> print(loss.round(4))  # what is known already counts little
      [1.733e-01 1.000e-04]
    """
    arrays.settings(checks.unit_interval, alpha=alpha)
    arrays.settings(checks.non_negative, gamma=gamma)
    z, y, dtype = _answers("sigmoid_focal_loss", logits, labels)
    # Beyond this all answers are sure, but infinities would meet zeros in the slopes.
    z = jnp.clip(z, -_SURE, _SURE)
    # 1 - q as a logarithm: for γ < 1 the slope of its power is infinite at 0.
    parts = jnp.stack([jax.nn.log_sigmoid(z), jax.nn.log_sigmoid(-z)])
    log_doubt = jax.nn.logsumexp(parts, axis=0, b=jnp.stack([1 - y, y]))
    loss = arrays.weigh(jnp.exp(_times(gamma, log_doubt)), _cross_entropy(z, y))
    if alpha is not None:
        loss = (alpha * y + (1 - alpha) * (1 - y)) * loss
    return loss.astype(dtype)


def _answers(
    name: str, logits: ArrayLike, labels: ArrayLike
) -> tuple[jax.Array, jax.Array, Any]:
    z = arrays.floating(name, "logits", logits)
    dtype, (z, y) = arrays.widen(z, arrays.real(name, "labels", labels))
    return z, arrays.fit(name, logits=z, labels=y), dtype


def _cross_entropy(z: jax.Array, y: jax.Array) -> jax.Array:
    right = arrays.weigh(y, jax.nn.log_sigmoid(z))
    wrong = arrays.weigh(1 - y, jax.nn.log_sigmoid(-z))
    return -(right + wrong)


def _times(gamma: Scalar, log_doubt: jax.Array) -> jax.Array:
    return arrays.weigh(jnp.full_like(log_doubt, gamma), log_doubt)
