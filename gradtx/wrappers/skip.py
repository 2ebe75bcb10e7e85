"""Which gradients an accumulation leaves out."""

import jax
import jax.numpy as jnp

from gradtx.common.leaves import differentiable
from gradtx.common.types import AxisName, Count, Params, PyTree, Scalar, Updates
from gradtx.core.reductions import sum_over_leaves
from gradtx.tree import norms


def skip_not_finite(
    updates: Updates,
    gradient_step: Count,
    params: Params | None,
    axis_name: AxisName = None,
) -> tuple[jax.Array, PyTree]:
    """Tell whether the updates hold an infinity or NaN, for :class:`MultiSteps`.

    Args:
      updates: a tree of arrays.
      gradient_step: the number of real steps taken; it does not matter here.
      params: the parameters; they do not matter here.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Returns:
      A boolean, and a dictionary of that boolean, ``should_skip``, and the number of
      such entries, ``num_not_finite``.

    Example:
      >>> skip, _ = gradtx.skip_not_finite(jnp.array([1.0, jnp.inf]), 0, None)
      >>> print(skip)
      True
    """
    del gradient_step, params
    number = count_not_finite(updates, axis_name)
    return number > 0, {"should_skip": number > 0, "num_not_finite": number}


def skip_large_updates(
    updates: Updates,
    gradient_step: Count,
    params: Params | None,
    max_squared_norm: Scalar,
    axis_name: AxisName = None,
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
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Returns:
      A boolean, and a dictionary of that boolean, ``should_skip``, and the square,
      ``norm_squared``.

    Example:
      >>> skip, _ = gradtx.skip_large_updates(jnp.array([3.0, 4.0]), 0, None, 10.0)
      >>> print(skip)
      True
    """
    del gradient_step, params
    square = norms.norm(differentiable(updates), squared=True, axis_name=axis_name)
    should_skip = ~(square < max_squared_norm)
    return should_skip, {"should_skip": should_skip, "norm_squared": square}


def count_not_finite(tree: PyTree, axis_name: AxisName = None) -> jax.Array:
    """Return how many entries are infinite or NaN.

    Args:
      tree: a tree of arrays.
      axis_name: as :func:`clip_by_global_norm` takes it.
    """
    counts = [
        jnp.sum(~jnp.isfinite(jnp.asarray(x)), dtype=jnp.int32)
        for x in differentiable(tree)
    ]
    return sum_over_leaves(counts, axis_name, jnp.int32)
