"""Hyperball: steps along a sphere, as long as a fraction of its radius."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.numerics import inverse_sqrt, safe_divide
from gradtx.common.types import (
    AxisName,
    MaskOrFn,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
)
from gradtx.core import order
from gradtx.core.leafwise import leafwise, to_compute_dtype
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.tree.norms import norm_along
from gradtx.wrappers.chain import check_inner
from gradtx.wrappers.inside import learning_rate_of
from gradtx.wrappers.relative import Axis, measured, relative


class RadiusState(NamedTuple):
    """What :func:`hyperball` remembers with radius "initial"."""

    radius: PyTree  # R, for every leaf


@order.needs_final("update")
@transformation
def hyperball(
    inner: GradientTransformation,
    radius: str | Scalar = "current",
    learning_rate: ScalarOrSchedule | None = None,
    axis: int | tuple[int, ...] | None = None,
    mask: MaskOrFn | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Keep the norm of every matrix, and make each step a fraction of that norm.

        u = inner(g)
        p' = R p / ‖p‖₂ + η R u / ‖u‖₂            ‖·‖₂ of each leaf
        p ← R p' / ‖p'‖₂

    So η says by which angle a matrix turns, and weight decay has no place. Around AdamW
    this is AdamH, around Muon MuonH, around SOAP SOAPH. A run with decay λ and rate η
    does about as well at the rate √(η λ) here. A matrix of zeros has no norm to keep:
    give it a start that is not 0, or mask it out.

    Args:
      inner: an optimizer, best without weight decay. Only the direction of its update
        matters, leaf by leaf.
      radius: R: "current", the norm that the leaf has; "initial", the norm that it had
        in ``init``, so that rounding adds nothing up; or a number above 0.
      learning_rate: η, at least 0, or a schedule of the number of steps taken; the
        ``learning_rate`` of ``inner``, if None.
      axis: the axes that a norm is taken over, such as (-2, -1) where layers are
        stacked along the first; all if None.
      mask: which leaves: a tree of booleans, or a function from the parameters to one.
        Those with two axes or more, if None. The others follow ``inner``.
      axis_name: within ``jax.shard_map``, the axis of the mesh, or a tuple of them,
        over which leaves in parts along ``axis`` are summed, as
        :func:`clip_by_global_norm` takes it. None: what this device holds.

    Raises:
      ValueError: if a number is outside its range, for another radius, if no learning
        rate is found, or if ``inner`` must see the final update; from ``init``, if a
        leaf with radius "current" or "initial" is zero; from ``update`` without
        parameters; from ``chain``, if something that changes the updates follows.

    Reference: Wen et al., 2026, https://arxiv.org/abs/2606.16899

    Example:
      >>> tx, params = gradtx.hyperball(gradtx.sgd(0.1)), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.09 -0.06]
       [ 0.    0.08]]
    """
    if isinstance(radius, str):
        if radius not in ("current", "initial"):
            raise checks.InvalidArgument(
                f'radius must be "current", "initial" or a number, got {radius!r}'
            )
    else:
        checks.positive(radius=radius)
    check_inner(inner, "hyperball")

    def rule(u: jax.Array, *first: jax.Array, p: jax.Array, rate: Any) -> Any:
        given = None if isinstance(radius, str) else radius
        r = first[0] if first else given
        return _turned(u, p, rate, r, axis, axis_name), *first

    if radius == "initial":
        rewrite = leafwise(
            rule,
            RadiusState,
            axis_name=axis_name,
            shared=("radius",),
            radius=partial(_first_norm, axis, axis_name),
        )
    else:
        rewrite = leafwise(rule, EmptyState)
    rate = learning_rate_of(inner, learning_rate)
    checks.non_negative(learning_rate=rate)
    kept = partial(_none_is_zero, axis) if isinstance(radius, str) else None
    return relative(inner, rewrite, mask, rate=rate, check=kept)


@order.needs_final("update")
@transformation
def relative_update(
    inner: GradientTransformation,
    learning_rate: ScalarOrSchedule | None = None,
    axis: int | tuple[int, ...] | None = None,
    mask: MaskOrFn | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Make each step of a matrix a fraction of the matrix's norm.

        u ← η ‖p‖₂ u / ‖u‖₂                       u = inner(g), ‖·‖₂ of each leaf

    :func:`hyperball` without the projection: the norm may grow. A leaf of zeros stays.

    Args:
      inner: an optimizer. Only the direction of its update matters, leaf by leaf.
      learning_rate: η, at least 0, or a schedule of the number of steps taken; the
        ``learning_rate`` of ``inner``, if None.
      axis: the axes that a norm is taken over; all if None.
      mask: which leaves, as for :func:`hyperball`.
      axis_name: within ``jax.shard_map``, the axis of the mesh, or a tuple of them,
        over which leaves in parts along ``axis`` are summed, as
        :func:`clip_by_global_norm` takes it. None: what this device holds.

    Raises:
      ValueError: if a number is negative, if no learning rate is found, or if ``inner``
        must see the final update; from ``update`` without parameters; from ``chain``,
        if something that changes the updates follows.

    Reference: Wen et al., 2026, https://arxiv.org/abs/2606.16899

    Example:
      >>> tx, params = gradtx.relative_update(gradtx.sgd(0.1)), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.12 -0.06]
       [-0.    0.06]]
    """
    check_inner(inner, "relative_update")

    def rule(u: jax.Array, *, p: jax.Array, rate: Any) -> jax.Array:
        size, length = (norm_along(x, axis, axis_name) for x in (p, u))
        return rate * size * safe_divide(u, length)

    rate = learning_rate_of(inner, learning_rate)
    checks.non_negative(learning_rate=rate)
    return relative(inner, leafwise(rule, EmptyState), mask, rate=rate)


def _turned(
    u: jax.Array, p: jax.Array, rate: Any, r: Any, axis: Axis, axis_name: AxisName
) -> jax.Array:
    """Return the step on the sphere of radius r, or of the norm of p if None."""
    # ‖p'‖ follows from the angle between the two: nothing is read once more for it.
    size, length, cosine = measured(p, u, axis, axis_name)
    there, moves = ((x > 0).astype(size.dtype) for x in (size, length))
    square = there + 2 * rate * cosine + rate * rate * moves
    step = safe_divide(p, size) + rate * safe_divide(u, length)
    r = size if r is None else r
    return r * inverse_sqrt(jnp.maximum(square, 0)) * step - p


def _first_norm(axis: Axis, axis_name: AxisName, p: jax.Array) -> jax.Array:
    """Make a slot for the norm of the first weights."""
    if isinstance(p, jax.ShapeDtypeStruct):
        return jnp.zeros_like(jax.eval_shape(partial(_first_norm, axis, axis_name), p))
    return norm_along(to_compute_dtype(p), axis, axis_name)


def _none_is_zero(axis: Axis, params: Params) -> None:
    """Refuse weights without a norm to keep, as far as they can be looked at."""
    for path, p in jax.tree_util.tree_leaves_with_path(params):
        known = not isinstance(p, Tracer | jax.ShapeDtypeStruct)
        if not known or not jnp.size(p) or not getattr(p, "is_fully_addressable", True):
            continue
        zero = jnp.any(norm_along(to_compute_dtype(jnp.asarray(p)), axis) == 0)
        if not isinstance(zero, Tracer) and zero:
            raise checks.InvalidArgument(
                f"the parameter at {checks.path_name(path)} is zero and has no norm to "
                "keep: give it another start, give radius a number, or mask it out"
            )
