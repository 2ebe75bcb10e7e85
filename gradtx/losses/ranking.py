"""Ranking losses."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.losses import arrays


def ranking_softmax_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    reduce_fn: Callable[..., ArrayLike] | None = jnp.mean,
) -> jax.Array:
    """Return the cross entropy of the softmax over a list from the relevances.

        -Σᵢ wᵢ yᵢ log pᵢ           with p = softmax(s)

    Args:
      logits: s, the scores, of shape (..., items).
      labels: y ≥ 0, the relevance of each item, of the same shape.
      where: which items to include; all if not given. A list without any has the loss
        0, and is left out of a mean.
      weights: w, the weight of each item; 1 if not given.
      reduce_fn: what makes one number of all lists, called with ``where=`` the lists
        to include; None for a loss per list.

    Raises:
      ValueError: if the shapes do not belong together.
      TypeError: if the logits are not real floating-point numbers.

    Reference: Cao et al., Learning to Rank, 2007 (ListNet).

    Example:
      >>> print(
      ...     gradtx.losses.ranking_softmax_loss(
      ...         jnp.zeros(2), jnp.array([1.0, 0.0])
      ...     ).round(3)
      ... )
      0.693
    """
    name = "ranking_softmax_loss"
    s, y, mask, dtype = arrays.vectors(name, -1, where, logits=logits, labels=labels)
    if weights is not None:
        w = arrays.real(name, "weights", weights).astype(y.dtype)
        y = y * arrays.fit(name, labels=y, weights=w)
    lists = None if mask is None else jnp.any(mask, -1)
    loss = -jnp.sum(arrays.weigh(y, _log_softmax(s, mask)), -1)
    return _reduce(loss, lists, reduce_fn).astype(dtype)


def _log_softmax(s: jax.Array, mask: jax.Array | None) -> jax.Array:
    if mask is None:
        return jax.nn.log_softmax(s)
    nothing = ~jnp.any(mask, -1, keepdims=True)
    return jnp.where(mask, jax.nn.log_softmax(s, where=mask | nothing), 0)


def _reduce(
    loss: jax.Array, lists: jax.Array | None, reduce_fn: Callable[..., ArrayLike] | None
) -> jax.Array:
    if reduce_fn is None:
        return loss
    if reduce_fn is not jnp.mean:
        return jnp.asarray(reduce_fn(loss, where=lists))
    # The mean of no list at all is 0, as is the loss of a list without items.
    lists = jnp.ones(loss.shape, jnp.bool_) if lists is None else lists
    number = jnp.maximum(jnp.sum(lists), 1).astype(loss.dtype)
    return jnp.sum(loss, where=lists) / number
