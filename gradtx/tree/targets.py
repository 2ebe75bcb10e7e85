"""Weights that follow other weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import Count, Params, Scalar


def incremental_update(
    new_tensors: Params, old_tensors: Params, step_size: Scalar
) -> Params:
    """Let the old weights come nearer to the new ones.

        old + step_size · (new - old)

    Computed in at least float32, and returned in the old weights' types.

    Args:
      new_tensors: a tree of arrays.
      old_tensors: a tree of the same structure and shapes.
      step_size: how far to go, 1 being all the way.

    Raises:
      ValueError: if the trees or the shapes of two leaves differ.

    Reference: Polyak and Juditsky, 1992, https://doi.org/10.1137/0330046

    Example:
      >>> print(
      ...     gradtx.incremental_update({"a": jnp.ones(2)}, {"a": jnp.zeros(2)}, 0.1)[
      ...         "a"
      ...     ]
      ... )
      [0.1 0.1]
    """

    def follow(new: jax.Array, old: jax.Array) -> jax.Array:
        dtype = numerics.compute_dtype(
            jnp.promote_types(jnp.result_type(new, old), "bfloat16")
        )
        mixed = step_size * new.astype(dtype) + (1 - step_size) * old.astype(dtype)
        inexact = jnp.issubdtype(old.dtype, jnp.inexact)
        return mixed.astype(old.dtype) if inexact else mixed

    return _map_both(follow, new_tensors, old_tensors)


def periodic_update(
    new_tensors: Params, old_tensors: Params, steps: Count, update_period: Any
) -> Params:
    """Return the new weights at every ``update_period``-th step, and the old else.

    Args:
      new_tensors: a tree of arrays.
      old_tensors: a tree of the same structure and shapes; its types are kept.
      steps: the number of steps taken.
      update_period: new weights are returned where this divides ``steps``.

    Raises:
      ValueError: if the trees or the shapes of two leaves differ, or the period is not
        a whole number of at least 1.

    Reference: Mnih et al., 2015, https://doi.org/10.1038/nature14236

    Example:
      >>> new, old = {"a": jnp.ones(2)}, {"a": jnp.zeros(2)}
      >>> print(gradtx.periodic_update(new, old, 3, 2)["a"])
      [0. 0.]
    """
    checks.positive_int(update_period=update_period)
    now = jnp.mod(steps, update_period) == 0
    return _map_both(
        lambda new, old: jnp.where(now, new.astype(old.dtype), old),
        new_tensors,
        old_tensors,
    )


def _map_both(
    f: Callable[[jax.Array, jax.Array], jax.Array], new: Params, old: Params
) -> Params:
    """Apply ``f`` to pairs of leaves; None stays None."""
    pairs, treedef = jax.tree_util.tree_flatten_with_path(new, is_leaf=checks.is_none)
    others = checks.leaves_like(old, treedef, "old weights", "new weights")
    return treedef.unflatten(
        [_both(f, path, a, b) for (path, a), b in zip(pairs, others, strict=True)]
    )


def _both(f: Callable[..., jax.Array], path: Any, new: Any, old: Any) -> Any:
    if new is None or old is None:
        return None
    new, old = jnp.asarray(new), jnp.asarray(old)
    checks.same_shape(new.shape, old.shape, path, "the new weight", "the old one")
    return f(new, old)
