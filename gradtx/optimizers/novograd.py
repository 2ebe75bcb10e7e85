"""NovoGrad: one second moment for a whole layer."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, ema, safe_divide, sqrt
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import totals, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.tree import norms
from gradtx.wrappers.chain import descend


class ScaleByNovogradState(NamedTuple):
    """What :func:`scale_by_novograd` remembers."""

    count: Count
    mu: Updates  # m, the decaying sum of the normalised gradients
    nu: SecondMoment  # v, for every leaf the mean of its squared norms: one number


@transformation
def scale_by_novograd(
    b1: Scalar = 0.9,
    b2: Scalar = 0.25,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Add up gradients that are divided, leaf by leaf, by their norms of late.

        v ← β₂ v + (1 - β₂) ‖g‖²                v = ‖g‖² at the first step
        m ← β₁ m + g / (√(v + ε_root) + ε) + λ p
        u = m

    Args:
      b1: β₁, how much of the sum is kept at each step.
      b2: β₂, how much of the mean squared norm is kept.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.
      weight_decay: λ, added to the normalised gradient.
      mu_dtype: the type to keep m in; the parameter's if None.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a decay rate is outside [0, 1), or another number is negative; from
        ``update`` if it is given no parameters.

    Reference: Ginsburg et al., 2019, https://arxiv.org/abs/1905.11286 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.scale_by_novograd(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, eps_root=eps_root, weight_decay=weight_decay)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count, p: jax.Array
    ) -> tuple[jax.Array, ...]:
        square = abs_sq(norms.norm(g, axis_name=axis_name))
        v = jnp.where(t == 1, square, ema(v, square, b2))
        m = b1 * m + safe_divide(g, sqrt(v + eps_root) + eps) + weight_decay * p
        return m, m, v

    return leafwise(
        rule,
        ScaleByNovogradState,
        elementwise=False,
        axis_name=axis_name,
        shared=("nu",),
        mu=partial(zeros, dtype=mu_dtype),
        nu=totals,
    )


@transformation
def novograd(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.25,
    eps: Scalar = 1e-6,
    eps_root: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """NovoGrad: :func:`scale_by_novograd` made an optimizer by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the sum is kept at each step.
      b2: β₂ in [0, 1), how much of the mean squared norm is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      weight_decay: λ, at least 0; λ p is added to the normalised gradient.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Example:
      >>> tx, params = gradtx.novograd(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.089  0.045]
    """
    direction = scale_by_novograd(
        b1, b2, eps, eps_root, weight_decay, axis_name=axis_name
    )
    return descend(direction, learning_rate)
