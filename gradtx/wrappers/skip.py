"""Which gradients an accumulation leaves out."""

import jax
import jax.numpy as jnp

from gradtx.common.leaves import differentiable
from gradtx.common.types import Count, Params, PyTree, Scalar, Updates
from gradtx.tree import norms


def skip_not_finite(
    updates: Updates, gradient_step: Count, params: Params | None
) -> tuple[jax.Array, PyTree]:
    """Tell whether the updates hold an infinity or NaN, for :class:`MultiSteps`.

    Args:
      updates: a tree of arrays.
      gradient_step: the number of real steps taken; it does not matter here.
      params: the parameters; they do not matter here.

    Returns:
      A boolean, and a dictionary of that boolean, ``should_skip``, and the number of
      such entries, ``num_not_finite``.

    Example:
      >>> skip, _ = gradtx.skip_not_finite(jnp.array([1.0, jnp.inf]), 0, None)
      >>> print(skip)
      True
    """
    del gradient_step, params
    number = count_not_finite(updates)
    return number > 0, {"should_skip": number > 0, "num_not_finite": number}


def skip_large_updates(
    updates: Updates,
    gradient_step: Count,
    params: Params | None,
    max_squared_norm: Scalar,
) -> tuple[jax.Array, PyTree]:
    """Tell whether the updates are too large, for :class:`MultiSteps`.

    Bind the bound before: ``functools.partial(skip_large_updates,
    max_squared_norm=1.0)``.

    Args:
      updates: a tree of arrays.
      gradient_step: the number of real steps taken; it does not matter here.
      params: the parameters; they do not matter here.
      max_squared_norm: the square of the norm of all updates together must be below
        this; NaN is not.

    Returns:
      A boolean, and a dictionary of that boolean, ``should_skip``, and the square,
      ``norm_squared``.

    Example:
      >>> skip, _ = gradtx.skip_large_updates(jnp.array([3.0, 4.0]), 0, None, 10.0)
      >>> print(skip)
      True
    """
    del gradient_step, params
    square = norms.norm(differentiable(updates), squared=True)
    should_skip = ~(square < max_squared_norm)
    return should_skip, {"should_skip": should_skip, "norm_squared": square}


def count_not_finite(tree: PyTree) -> jax.Array:
    """Return how many entries are infinite or NaN."""
    count = jnp.zeros((), jnp.int32)
    for x in differentiable(tree):
        count = count + jnp.sum(~jnp.isfinite(jnp.asarray(x)), dtype=jnp.int32)
    return count
