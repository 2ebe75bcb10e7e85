"""Polyak's step: as long as the height above the minimum allows."""

from typing import Any

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import differentiable
from gradtx.common.numerics import safe_divide
from gradtx.common.types import (
    AxisName,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.optimizers.sgd import sgd
from gradtx.tree import norms
from gradtx.wrappers.chain import chain


@transformation
def scale_by_polyak(
    f_min: Scalar = 0.0,
    max_learning_rate: Scalar = 1.0,
    eps: Scalar = 0.0,
    variant: str = "sps",
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Scale the gradient by Polyak's step size.

        u = g · min((f - f*) / (‖g‖² + ε), γ)          ‖·‖ over all leaves; 0 at g = 0

    Where f is linear this is the step to the height f*. ``update`` wants f as the extra
    argument ``value``.

    Args:
      f_min: f*, the least value of the objective.
      max_learning_rate: γ, the longest step size.
      eps: ε.
      variant: ``"sps"``, or ``"sps+"`` to stand still where f is below f*, in place of
        going uphill.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: for another variant, or if a number is outside its range; from
        ``update`` if it is given no ``value``.

    Reference: Loizou et al., 2021, https://arxiv.org/abs/2002.10542; Garrigos et al.,
      2023, https://arxiv.org/abs/2307.14528 (``"sps+"``)

    Example:
      >>> tx, params = gradtx.scale_by_polyak(), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [1. 1.]
    """
    checks.finite(f_min=f_min)
    checks.non_negative(max_learning_rate=max_learning_rate, eps=eps)
    if variant not in {"sps", "sps+"}:
        raise checks.InvalidArgument(
            f'variant must be "sps" or "sps+", got {variant!r}'
        )
    step = leafwise(lambda g, *, unit, rate: g / unit * rate, EmptyState)

    def update(
        updates: Updates,
        state: OptState,
        params: Params | None = None,
        *,
        value: Any = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        checks.require_extra_arg("value", value)
        # ‖g‖² is unit² · total
        unit, total = norms.scaled_squares(differentiable(updates), axis_name=axis_name)
        gap = jnp.asarray(value - f_min).astype(total.dtype)
        if variant == "sps+":
            gap = jnp.maximum(gap, 0)
        # Without ε not even the quotient: compiled, it would be 0 / unit² = 0 / 0.
        least = jnp.where(eps == 0, 0, eps / unit / unit)
        best = safe_divide(gap / unit, total + least)
        rate = jnp.minimum(best, max_learning_rate * unit)
        return step.update(updates, state, params, unit=unit, rate=rate)

    return GradientTransformation(step.init, update)


@transformation
def polyak_sgd(
    max_learning_rate: Scalar = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: Scalar = 0.0,
    eps: Scalar = 0.0,
    variant: str = "sps",
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """SGD with Polyak's step size.

        p ← p - s min((f - f*) / (‖g‖² + ε), γ) g

    ``update`` wants f, the value of the objective, as the extra argument ``value``.
    optax measures s g in place of g, so that there s < 1 makes steps longer.

    Args:
      max_learning_rate: γ, the longest step size.
      scaling: s, or a schedule of the number of steps taken.
      f_min: f*, the least value of the objective.
      eps: ε.
      variant: ``"sps"``, or ``"sps+"`` to stand still where f is below f*.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: for another variant, or if a number is outside its range; from
        ``update`` if it is given no ``value``.

    Reference: Loizou et al., 2021, https://arxiv.org/abs/2002.10542

    Example:
      >>> tx, params = gradtx.polyak_sgd(), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [-1. -1.]
    """
    checks.finite(scaling=scaling)
    return chain(
        scale_by_polyak(f_min, max_learning_rate, eps, variant, axis_name=axis_name),
        sgd(scaling),
    )
