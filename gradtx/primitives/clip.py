"""Bounds on the size of the updates."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.leaves import differentiable
from gradtx.common.types import AxisName, OptState, Params, Scalar, Updates
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.tree import norms

ClipState = EmptyState
ClipByGlobalNormState = EmptyState


@transformation
def clip(max_delta: Scalar) -> GradientTransformation:
    """Clip every entry of the updates to [-max_delta, max_delta].

    Args:
      max_delta: the bound, at least 0.

    Raises:
      ValueError: if the bound is negative; from ``update`` for complex updates, which
        have no order.

    Example:
      >>> tx, params = gradtx.clip(0.5), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.5 -0.5]
    """
    checks.non_negative(max_delta=max_delta)

    def rule(g: jax.Array) -> jax.Array:
        if jnp.iscomplexobj(g):
            raise checks.InvalidArgument(
                "complex updates cannot be clipped by entry: use clip_by_global_norm"
            )
        return jnp.clip(g, -max_delta, max_delta)

    return leafwise(rule, ClipState)


@transformation
def clip_by_block_rms(
    threshold: Scalar, *, axis_name: AxisName = None
) -> GradientTransformation:
    """Bound the root mean square of every leaf.

        u = g / max(1, rms(g) / threshold)

    Args:
      threshold: the largest root mean square that a leaf may have, above 0.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if the threshold is not positive.

    Reference: Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235 (section 6)

    Example:
      >>> tx, params = gradtx.clip_by_block_rms(1.0), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1.2650001 -0.632    ]
    """
    checks.positive(threshold=threshold)
    return leafwise(
        lambda g: g / jnp.maximum(1, norms.rms(g, axis_name) / threshold),
        EmptyState,
        elementwise=False,
    )


@order.keeps("direction")
@transformation
def clip_by_global_norm(
    max_norm: Scalar, axis_name: AxisName = None
) -> GradientTransformation:
    """Scale all updates down together until their norm is at most ``max_norm``.

        u = g · min(1, max_norm / ‖g‖₂)        ‖·‖₂ over all leaves as one vector

    The norm is summed in float32 or wider and does not overflow. An infinite entry
    counts as the largest number: it takes all of ``max_norm``, and the finite entries
    vanish beside it. NaN in one leaf makes all updates NaN.

    Args:
      max_norm: the largest norm allowed, at least 0.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, whose devices
        hold parts of the updates: leaves that vary along it, by their types, are summed
        over it, and all others count once. None: the norm of what this device holds;
        under ``jit`` that is the whole tree, however it is sharded.

    Raises:
      ValueError: if ``max_norm`` is negative; from ``update`` for an axis that is not
        there, or along which types do not tell what varies, as without ``check_vma``.

    Reference: Pascanu et al., 2013, https://arxiv.org/abs/1211.5063

    Example:
      >>> tx, params = gradtx.clip_by_global_norm(1.0), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    checks.non_negative(max_norm=max_norm)
    shrink = leafwise(
        lambda g, *, unit, factor: _bounded(g) * (1 / unit) * factor, EmptyState
    )

    def init(params: Params) -> OptState:
        return shrink.init(params)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        unit, rest = length(updates, axis_name)
        # ‖g‖ = unit · rest, and unit is 1 unless the squares overflow.
        factor = jnp.minimum(unit, max_norm / jnp.where(rest == 0, 1, rest))
        return shrink.update(updates, state, params, unit=unit, factor=factor)

    return GradientTransformation(init, update)


def length(updates: Updates, axis_name: AxisName = None) -> tuple[jax.Array, jax.Array]:
    """Return two factors of the norm that :func:`clip_by_global_norm` bounds.

    Whoever wants that norm too asks here, so that the compiler takes it once.
    """
    return norms.scaled_norm(differentiable(updates), _length, axis_name)


def _length(g: jax.Array) -> jax.Array:
    return norms.modulus(_bounded(g))


def _bounded(g: jax.Array) -> jax.Array:
    """Return g with infinity replaced by a number whose inverse can be written down."""
    g = jnp.asarray(g)
    if jnp.iscomplexobj(g):
        return g
    g = g.astype(numerics.compute_dtype(g.dtype))
    bound = numerics.largest_square(g.dtype)
    return jnp.clip(g, -bound, bound)
