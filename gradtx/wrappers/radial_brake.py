"""The radial brake: weights grow slower than their steps would make them."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import safe_divide, sqrt
from gradtx.common.types import AxisName, MaskOrFn, Scalar
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.wrappers.chain import check_inner
from gradtx.wrappers.relative import measured, relative


@order.needs_final("update")
@transformation
def radial_brake(
    inner: GradientTransformation,
    outward_scale: Scalar = 0.5,
    inward_scale: Scalar = 1.0,
    axis: int | tuple[int, ...] | None = None,
    mask: MaskOrFn | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Let the norm of a matrix change by a fraction of what a step would change it by.

        p' = p + inner(g)
        n = ‖p‖₂ + s (‖p'‖₂ - ‖p‖₂)        s: s_out where the norm grows, else s_in
        p ← n p' / ‖p'‖₂                   norms of each leaf

    Args:
      inner: any optimizer.
      outward_scale: s_out, from 0, which lets no norm grow, to 1, which leaves the step
        as it is.
      inward_scale: s_in, from 0 to 1, the same where the norm shrinks.
      axis: the axes that a norm is taken over, such as (-2, -1) where layers are
        stacked along the first; all if None.
      mask: which leaves: a tree of booleans, or a function from the parameters to one.
        Those with two axes or more, if None. The others follow ``inner``.
      axis_name: within ``jax.shard_map``, the axis of the mesh, or a tuple of them,
        over which leaves in parts along ``axis`` are summed, as
        :func:`clip_by_global_norm` takes it. None: what this device holds.

    Raises:
      ValueError: if a scale is outside [0, 1], or if ``inner`` must see the final
        update; from ``update`` without parameters; from ``chain``, if something that
        changes the updates follows.

    Reference: NVIDIA, Emerging-Optimizers, 2026,
      https://github.com/NVIDIA-NeMo/Emerging-Optimizers (RadialBrake)

    Example:
      >>> tx, params = gradtx.radial_brake(gradtx.sgd(0.1)), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.19999999 -0.09999999]
       [-0.          0.09999999]]
    """
    checks.unit_interval(outward_scale=outward_scale, inward_scale=inward_scale)
    check_inner(inner, "radial_brake")

    def rule(u: jax.Array, *, p: jax.Array) -> jax.Array:
        size, length, cosine = measured(p, u, axis, axis_name)
        unit = jnp.maximum(size, length)
        a, b = safe_divide(size, unit), safe_divide(length, unit)
        growth = b * (2 * cosine * a + b)  # of the square of the norm, in units
        reached = sqrt(jnp.maximum(a * a + growth, 0))
        scale = jnp.where(growth > 0, outward_scale, inward_scale)
        # n / ‖p'‖ - 1, without the cancellation that a small step brings
        change = safe_divide((scale - 1) * safe_divide(growth, a + reached), reached)
        return u + change * (p + u)

    return relative(inner, leafwise(rule, EmptyState), mask)
