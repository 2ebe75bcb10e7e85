"""Updates without their length, or without their mean."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import differentiable
from gradtx.common.numerics import safe_divide
from gradtx.common.types import AxisName, OptState, Params, Scalar, Updates
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.core.whole import of_whole_leaves
from gradtx.tree import norms


@order.keeps("direction")
@transformation
def normalize_by_update_norm(
    scale_factor: Scalar = 1.0,
    eps: Scalar = 1e-6,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Give all updates together one length.

        u = g · s / (‖g‖₂ + ε)              ‖·‖₂ over all leaves as one vector

    Args:
      scale_factor: s, the length, a finite number.
      eps: ε; where it is 0, updates that are all 0 stay 0.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norm of what this device holds.

    Raises:
      ValueError: if ``eps`` is negative or ``scale_factor`` not finite; from ``update``
        for an axis that is not there.

    Example:
      >>> tx, params = gradtx.normalize_by_update_norm(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    checks.finite(scale_factor=scale_factor)
    checks.non_negative(eps=eps)
    divide = leafwise(
        lambda g, *, length: safe_divide(g, length) * scale_factor, EmptyState
    )

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        length = norms.norm(differentiable(updates), axis_name=axis_name) + eps
        return divide.update(updates, state, params, length=length)

    return GradientTransformation(divide.init, update)


@transformation
def centralize() -> GradientTransformation:
    """Take from every leaf with two or more axes its mean over all axes but the first.

        u = g - mean(g, over the axes 1, 2, …)

    The first axis is that of the outputs in the paper; Flax has it last.

    Reference: Yong et al., 2020, https://arxiv.org/abs/2004.01461

    Example:
      >>> tx, params = gradtx.centralize(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.5 -0.5]
       [ 0.5 -0.5]]
    """

    def rule(g: jax.Array) -> jax.Array:
        if g.ndim <= 1 or g.size == 0:
            return g
        return g - jnp.mean(g, axis=tuple(range(1, g.ndim)), keepdims=True)

    return of_whole_leaves(leafwise(rule, EmptyState, elementwise=False), 2)
