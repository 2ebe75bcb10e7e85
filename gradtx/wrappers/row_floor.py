"""The row floor: the update of a unit is at least a fraction of its weights."""

from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.directions import lengthened
from gradtx.common.types import AxisName, MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.tree.norms import norm_along
from gradtx.wrappers.chain import check_inner
from gradtx.wrappers.inside import learning_rate_of
from gradtx.wrappers.relative import relative


@order.needs_final("update")
@transformation
def row_floor(
    inner: GradientTransformation,
    floor: Scalar = 0.35,
    learning_rate: ScalarOrSchedule | None = None,
    axis: int | tuple[int, ...] | None = 0,
    mask: MaskOrFn | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Lengthen the update of every unit to at least a fraction of its weights.

        u = inner(g)
        u ← u max(1, η τ ‖p‖₂ / ‖u‖₂)             norms of each unit; 0 stays 0

    Units that would hardly change while the others grow go on changing, so that no
    weight decay is needed. Without the learning rate it is the lower bound τ ‖p‖ of the
    direction.

    Args:
      inner: any optimizer.
      floor: τ, at least 0.
      learning_rate: η, at least 0, or a schedule of the number of steps taken; the
        ``learning_rate`` of ``inner``, if None.
      axis: the axes that a norm is taken over, which make up a unit. 0 is the input of
        a kernel of shape (in, out), so that a unit is a neuron (a row, where weights
        are of shape (out, in)). None for one norm for each leaf.
      mask: which leaves: a tree of booleans, or a function from the parameters to one.
        Those with two axes or more, if None. The others follow ``inner``.
      axis_name: within ``jax.shard_map``, the axis of the mesh, or a tuple of them,
        over which leaves in parts along ``axis`` are summed, as
        :func:`clip_by_global_norm` takes it. None: what this device holds.

    Raises:
      ValueError: if a number is negative, if no learning rate is found, or if ``inner``
        must see the final update; from ``update`` without parameters; from ``chain``,
        if something that changes the updates follows.

    Reference: Jordan et al., 2026, https://github.com/KellerJordan/modded-nanogpt
      (track 3, records 44 to 46)

    Example:
      >>> tx, params = gradtx.row_floor(gradtx.sgd(0.1)), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.19999999 -0.09999999]
       [-0.          0.09999999]]
    """
    checks.non_negative(floor=floor)
    rate = learning_rate_of(inner, learning_rate)
    checks.non_negative(learning_rate=rate)
    check_inner(inner, "row_floor")

    def rule(u: jax.Array, *, p: jax.Array, rate: Any) -> jax.Array:
        least = rate * floor * norm_along(p, axis, axis_name)
        return lengthened(u, norm_along(u, axis, axis_name), least)

    return relative(inner, leafwise(rule, EmptyState), mask, rate=rate)
