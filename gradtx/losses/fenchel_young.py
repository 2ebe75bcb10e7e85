"""Fenchel-Young losses."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.losses import arrays


def make_fenchel_young_loss(max_fun: Callable[..., Any]) -> Callable[..., jax.Array]:
    """Return the loss whose gradient is the maximizer minus the target.

        L(s, y) = max_fun(s) - ⟨s, y⟩

    With a maximum max_fun(s) = max_p ⟨s, p⟩ - Ω(p), its gradient in s is p(s) - y, and
    it is smallest where p(s) = y. With ``logsumexp`` it is the softmax cross entropy.

    Args:
      max_fun: a function of one vector (and of anything else) that gives a number.

    Returns:
      ``loss(scores, targets, *args, **kwargs)`` over the last axis; the other axes may
      broadcast, and what follows the targets is handed to ``max_fun``.

    Reference: Blondel et al., Learning with Fenchel-Young Losses, 2020.
      https://arxiv.org/abs/1901.02324

    Example:
      >>> loss = gradtx.losses.make_fenchel_young_loss(jax.nn.logsumexp)
      >>> print(loss(jnp.zeros(2), jnp.array([0.0, 1.0])).round(3))  # log 2
      0.693
    """

    def fenchel_young_loss(
        scores: ArrayLike, targets: ArrayLike, *args: Any, **kwargs: Any
    ) -> jax.Array:
        s, y, _, dtype = arrays.vectors(
            "fenchel_young_loss", -1, None, scores=scores, targets=targets
        )
        best = jnp.vectorize(
            lambda vector: max_fun(vector, *args, **kwargs), signature="(n)->()"
        )
        return (best(s) - jnp.sum(arrays.weigh(y, s), -1)).astype(dtype)

    return fenchel_young_loss
