"""Bounds on the updates of each unit of a layer, relative to the unit's weights."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import AxisName, Scalar
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.tree.norms import norm_along

AdaptiveGradClipState = EmptyState
Axis = int | tuple[int, ...] | None


@transformation
def adaptive_grad_clip(
    clipping: Scalar,
    eps: Scalar = 1e-3,
    axis: int | tuple[int, ...] | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Bound the norm of every unit's gradient relative to the norm of its weights.

        u = g · min(1, c max(‖p‖, ε) / ‖g‖)          norms of units, unitwise_norm

    Args:
      clipping: c, the largest ratio of the norms.
      eps: ε, what the weights' norm is raised to where it is smaller.
      axis: the axes that make up a unit, as :func:`unitwise_norm` takes them.
      axis_name: within ``jax.shard_map``, the axis of the mesh, or a tuple of them,
        over which leaves in parts along those axes are summed, as
        :func:`clip_by_global_norm` takes it. Give ``axis`` then, as a shard of length 1
        would be taken for another kind of leaf. None: what this device holds.

    Raises:
      ValueError: if a number is negative; from ``update`` if it is given no parameters,
        or a leaf with more than five axes and no ``axis``.

    Reference: Brock et al., 2021, https://arxiv.org/abs/2102.06171

    Example:
      >>> tx, params = gradtx.adaptive_grad_clip(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.126 -0.063]
    """
    checks.non_negative(clipping=clipping, eps=eps)

    def rule(g: jax.Array, *, p: jax.Array) -> jax.Array:
        largest = clipping * jnp.maximum(_unit_norm(p, axis, axis_name), eps)
        return _clipped(_unit_norm(g, axis, axis_name), largest, g, 1e-6)

    return leafwise(rule, AdaptiveGradClipState, elementwise=False)


def unitwise_norm(x: jax.Array, axis: Axis = None) -> jax.Array:
    """Return the 2-norm of every unit of a layer's weights, in the weights' shape.

    Units are taken as Flax lays them out: of a vector or scalar the whole; of two or
    three axes what shares all but the first; of four or five what shares the last.

    Args:
      x: an array.
      axis: the axes to sum over instead.

    Raises:
      ValueError: for more than five axes and no ``axis``.

    Example:
      >>> print(gradtx.unitwise_norm(jnp.array([[3.0, 1.0], [4.0, 0.0]])))
      [[5. 1.]
       [5. 1.]]
    """
    x = jnp.asarray(x)
    norm = _unit_norm(x, axis)
    return jnp.zeros_like(x, dtype=norm.dtype) + norm


def unitwise_clip(
    g_norm: jax.Array, max_norm: jax.Array, grad: jax.Array, div_eps: Scalar = 1e-6
) -> jax.Array:
    """Scale down the entries of a gradient whose unit has too large a norm.

        grad · max_norm / max(g_norm, div_eps)  where g_norm ≥ max_norm,  else grad

    Args:
      g_norm: the norm of every entry's unit.
      max_norm: its largest value allowed.
      grad: the gradient.
      div_eps: the smallest divisor.

    Raises:
      ValueError: if the three shapes differ.

    Example:
      >>> grad = jnp.array([[3.0, 1.0], [4.0, 0.0]])
      >>> norm = gradtx.unitwise_norm(grad)
      >>> print(gradtx.unitwise_clip(norm, jnp.ones_like(norm), grad).round(2).tolist())
      [[0.5999999642372131, 1.0], [0.7999999523162842, 0.0]]
    """
    shapes = {jnp.shape(x) for x in (g_norm, max_norm, grad)}
    if len(shapes) > 1:
        raise checks.InvalidArgument(
            f"unitwise_clip: the shapes must be the same, got g_norm "
            f"{jnp.shape(g_norm)}, max_norm {jnp.shape(max_norm)}, grad "
            f"{jnp.shape(grad)}"
        )
    return _clipped(g_norm, max_norm, grad, div_eps)


def _clipped(
    g_norm: jax.Array, max_norm: jax.Array, grad: jax.Array, div_eps: Scalar
) -> jax.Array:
    clipped = grad / jnp.maximum(g_norm, div_eps) * max_norm
    return jnp.where(g_norm < max_norm, grad, clipped)


def _unit_norm(x: jax.Array, axis: Axis, axis_name: AxisName = None) -> jax.Array:
    """Return the norms along the axes that make up a unit, those axes kept as 1."""
    return norm_along(x, _unit_axes(x.shape) if axis is None else axis, axis_name)


def _unit_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    ndim = len(shape)
    if sum(n != 1 for n in shape) <= 1:
        return tuple(range(ndim))
    if ndim <= 3:  # noqa: PLR2004
        return (0,)
    if ndim <= 5:  # noqa: PLR2004
        return tuple(range(ndim - 1))
    raise checks.InvalidArgument(
        f"there is no telling what a unit is in an array of shape {shape}: give axis"
    )
