"""Updates measured against the size of their parameter."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import safe_divide
from gradtx.common.types import AxisName, Scalar
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.tree import norms

ScaleByTrustRatioState = EmptyState


@transformation
def scale_by_trust_ratio(
    min_norm: Scalar = 0.0,
    trust_coefficient: Scalar = 1.0,
    eps: Scalar = 0.0,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Make every leaf's update as long as its parameter.

        u = g · c ‖p‖ / (‖g‖ + ε)          u = g where ‖p‖ or ‖g‖ is 0

    Args:
      min_norm: what both norms are raised to where they are smaller.
      trust_coefficient: c, the length of an update relative to its parameter.
      eps: ε, at least 0, added to the norm of the update.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norms of what this device holds.

    Raises:
      ValueError: if a number is negative; from ``update`` if it is given no parameters,
        or for an axis that is not there.

    Reference: You et al., 2020, https://arxiv.org/abs/1904.00962

    Example:
      >>> tx, params = gradtx.scale_by_trust_ratio(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1.2650001 -0.632    ]
    """
    checks.non_negative(min_norm=min_norm, trust_coefficient=trust_coefficient, eps=eps)

    def rule(g: jax.Array, *, p: jax.Array) -> jax.Array:
        size, length = (
            jnp.maximum(norms.norm(x, axis_name=axis_name), min_norm) for x in (p, g)
        )
        return trusted(g, trust_coefficient * size, length + eps, (size, length))

    return leafwise(rule, ScaleByTrustRatioState, elementwise=False)


def trusted(
    g: jax.Array, size: jax.Array, length: jax.Array, sizes: tuple[jax.Array, ...]
) -> jax.Array:
    """Return g · size / length, and g itself where one of ``sizes`` is 0.

    The division comes first, so that neither factor overflows.
    """
    zero = jnp.any(jnp.stack(sizes) == 0)
    return jnp.where(zero, g, safe_divide(g, length) * size)


@transformation
def scale_by_param_block_norm(
    min_scale: Scalar = 1e-3, *, axis_name: AxisName = None
) -> GradientTransformation:
    """Multiply every leaf's update by the norm of its parameter.

        u = g · max(‖p‖₂, min_scale)

    Args:
      min_scale: the smallest factor, so that parameters can leave 0.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if it is negative; from ``update`` if it is given no parameters.

    Example:
      >>> tx, params = gradtx.scale_by_param_block_norm(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2.828 -1.414]
    """
    checks.non_negative(min_scale=min_scale)
    return leafwise(
        lambda g, *, p: g * jnp.maximum(norms.norm(p, axis_name=axis_name), min_scale),
        EmptyState,
        elementwise=False,
    )


@transformation
def scale_by_param_block_rms(
    min_scale: Scalar = 1e-3, *, axis_name: AxisName = None
) -> GradientTransformation:
    """Multiply every leaf's update by the root mean square of its parameter.

        u = g · max(rms(p), min_scale)

    Args:
      min_scale: the smallest factor, so that parameters can leave 0.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if it is negative; from ``update`` if it is given no parameters.

    Reference: Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235 (section 8)

    Example:
      >>> tx, params = gradtx.scale_by_param_block_rms(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    checks.non_negative(min_scale=min_scale)
    return leafwise(
        lambda g, *, p: g * jnp.maximum(norms.rms(p, axis_name), min_scale),
        EmptyState,
        elementwise=False,
    )
