"""Losses of the sparsemax, which gives exact zeros where the softmax does not."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.losses import arrays
from gradtx.projections.simplex import projection_simplex


def sparsemax_loss(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Return the loss of a yes-or-no answer under the sparsemax.

        0             if s ≤ -1           with s = -z for y = 1, s = z for y = 0
        (s + 1)²/4    if -1 < s < 1
        s             if s ≥ 1

    A label that is neither 0 nor 1 has the loss NaN.

    Args:
      logits: z, of any shape.
      labels: y, each 0 or 1, of a shape that broadcasts to that of the logits.

    Raises:
      ValueError: if the labels do not fit.

    Reference: Blondel et al., Learning with Fenchel-Young Losses, 2020, section 4.4.
      https://arxiv.org/abs/1901.02324

    Example:
      >>> print(gradtx.losses.sparsemax_loss(jnp.array([0.0]), jnp.array([1.0])))
      [0.25]
    """
    name = "sparsemax_loss"
    dtype, (z, y) = arrays.widen(
        arrays.real(name, "logits", logits), arrays.real(name, "labels", labels)
    )
    y = arrays.fit(name, logits=z, labels=y)
    wrongness = jnp.where(y == 1, -z, z)
    middle = jnp.clip(wrongness, -1, 1)
    loss = jnp.square(middle + 1) / 4 + (jnp.maximum(wrongness, 1) - 1)
    return arrays.only((y == 0) | (y == 1), loss).astype(dtype)


def multiclass_sparsemax_loss(scores: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Return the loss whose gradient is sparsemax(s) minus the right class.

        max_p (⟨p, s⟩ + (1 - ‖p‖²)/2) - s_y           over the distributions p

    A label that is not a class has the loss NaN and the gradient 0.

    Args:
      scores: s, of shape (..., classes).
      labels: y, integers of shape (...).

    Raises:
      ValueError: if the labels do not fit.
      TypeError: if the labels are not integers.

    Reference: Martins and Astudillo, From Softmax to Sparsemax, 2016.
      https://arxiv.org/abs/1602.02068

    Example:
      >>> print(
      ...     gradtx.losses.multiclass_sparsemax_loss(
      ...         jnp.array([0.0, 9.0]), jnp.array(1)
      ...     )
      ... )
      0.0
    """
    name = "multiclass_sparsemax_loss"
    dtype, (s,) = arrays.widen(arrays.real(name, "scores", scores))
    labels = arrays.integers(name, "labels", labels)
    s, chosen, known = arrays.pick(name, s, labels)
    p = jnp.vectorize(projection_simplex, signature="(n)->(n)")(s)
    lead = arrays.weigh(p, s - chosen[..., None])
    loss = jnp.sum(lead, -1) + 0.5 * (1 - jnp.sum(jnp.square(p), -1))
    return arrays.only(known, loss).astype(dtype)
