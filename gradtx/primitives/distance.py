"""A step size from how far one has come."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    compute_dtype,
    largest_square,
    safe_divide,
    sqrt,
)
from gradtx.common.types import (
    AxisName,
    DTypeLike,
    Params,
    Scalar,
    SecondMoment,
    Weights,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import totals
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.tree import norms


class ScaleByDistanceOverGradientsState(NamedTuple):
    """What :func:`scale_by_distance_over_gradients` remembers of every leaf."""

    max_dist: Params  # r, a number
    grad_sum_of_squares: SecondMoment  # G, an array of one number
    init_params: Weights  # p₀


@transformation
def scale_by_distance_over_gradients(
    reps_rel: Scalar = 1e-6,
    eps: Scalar = 1e-8,
    param_dtype: DTypeLike = jnp.float32,
    global_scale: Scalar = 1.0,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Step, leaf by leaf, by the distance gone so far over the size of the gradients.

        r ← max(r, ‖p - p₀‖)                 from ρ (1 + ‖p₀‖)
        G ← G + ‖g‖²                         from 0
        u = s g r / √(G + ε)

    A learning rate of 1 suits most problems.

    Args:
      reps_rel: ρ, the first step relative to the parameter.
      eps: ε, at least 0, inside of the root.
      param_dtype: the type to keep p₀ in; a type of at least float32 is widened to the
        parameter's.
      global_scale: s, at least 0, the factor of all steps.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a number is negative; from ``update`` if it is given no parameters.

    Reference: Ivgi et al., 2023, https://arxiv.org/abs/2302.12022

    Example:
      >>> tx, params = gradtx.scale_by_distance_over_gradients(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.216 -0.108]
    """
    checks.non_negative(reps_rel=reps_rel, eps=eps, global_scale=global_scale)

    norm = partial(norms.norm, axis_name=axis_name)

    def rule(
        g: jax.Array, far: jax.Array, total: jax.Array, start: jax.Array, *, p: Any
    ) -> tuple[jax.Array, ...]:
        far = jnp.maximum(far, norm(p - start))
        total = jnp.minimum(total + abs_sq(norm(g)), largest_square(total.dtype))
        root = sqrt(total.reshape(()) + eps)
        return safe_divide(g, root) * (global_scale * far), far, total, start

    return leafwise(
        rule,
        ScaleByDistanceOverGradientsState,
        elementwise=False,
        axis_name=axis_name,
        shared=("max_dist", "grad_sum_of_squares"),
        max_dist=lambda p: totals(p) + reps_rel * (1 + norm(p)),
        grad_sum_of_squares=lambda p: totals(p).reshape(1),
        init_params=partial(_copied, param_dtype),
    )


def _copied(dtype: DTypeLike, p: jax.Array) -> jax.Array:
    """Return a copy, in a type that holds the parameter unless one asks for less."""
    if jnp.dtype(dtype) == compute_dtype(dtype) or jnp.iscomplexobj(p):
        dtype = jnp.promote_types(dtype, p.dtype)
    return jnp.copy(p).astype(dtype)
