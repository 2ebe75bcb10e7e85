"""StableAdamW: AdamW whose steps shrink where the squares lag behind the gradients."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    debias,
    ema,
    ema_of_squares,
    is_differentiable,
    safe_divide,
    sqrt,
    value_at,
)
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.tree import norms
from gradtx.tree.masks import resolve_mask
from gradtx.wrappers.chain import chain


@transformation
def scale_by_stable_adamw(
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    eps: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nu_dtype: DTypeLike | None = None,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Scale as Adam does, less where a gradient is larger than its mean square tells.

        m ← β₁ m + (1 - β₁) g,     v ← β₂ v + (1 - β₂) |g|²
        s = max(1, √mean(|g|² / max(v̂, ε²)))              of each array
        u = (m̂ / (√v̂ + ε) + λ p) / s      m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    Without spikes s is 1 and this is AdamW. After one, s shortens the step of the array
    until v has followed; it takes the place of clipping the gradient. As the decay is
    shortened too, it stands here.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root, and the lower bound of √v̂ in s.
      weight_decay: λ, or a schedule of the number of steps taken; None for none.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      mu_dtype: the type to keep m in; the parameter's if None.
      nu_dtype: the type to keep v in; if None the parameter's, and float32 for
        half-precision parameters.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a decay rate is outside [0, 1) or another number negative; from
        ``update``, if there is a decay and it is given no parameters.

    Reference: Wortsman et al., 2023, https://arxiv.org/abs/2304.13013 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_stable_adamw(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, weight_decay=weight_decay)

    def adam(g: jax.Array, m: jax.Array, v: jax.Array, t: Count) -> Any:
        m, v = ema(m, g, b1), ema_of_squares(v, g, b2)
        root = sqrt(debias(v, b2, t))
        surprise = norms.rms(safe_divide(g, jnp.maximum(root, eps)), axis_name)
        u = safe_divide(debias(m, b1, t), root + eps)
        return u, jnp.maximum(1, surprise), m, v

    def plain(g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count) -> Any:
        u, s, m, v = adam(g, m, v, t)
        return u / s, m, v

    def decayed(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count, p: jax.Array, decay: Any
    ) -> Any:
        u, s, m, v = adam(g, m, v, t)
        return (u + jnp.asarray(decay, s.dtype) * p) / s, m, v

    direction = leafwise(
        plain if weight_decay is None else decayed,
        ScaleByAdamState,
        elementwise=False,
        mu=partial(zeros, dtype=mu_dtype),
        nu=partial(squares, dtype=nu_dtype),
    )
    if weight_decay is None:
        return direction

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        decay = value_at(weight_decay, state.count)
        shown = params if mask is None else _zero_elsewhere(params, mask)
        return direction.update(updates, state, shown, decay=decay)

    return GradientTransformation(direction.init, update)


def _zero_elsewhere(params: Params, mask: MaskOrFn) -> Params:
    """Return the parameters with zeros where they do not decay."""

    def one(keep: bool, p: Any) -> Any:
        return p if keep or not is_differentiable(p) else jnp.zeros_like(p)

    return jax.tree.map(one, resolve_mask(mask, params), params)


@transformation
def stable_adamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    eps: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule | None = 1e-2,
    mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nu_dtype: DTypeLike | None = None,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """StableAdamW: :func:`scale_by_stable_adamw` made an optimizer.

        p ← p - η/s (m̂ / (√v̂ + ε) + λ p)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root, and the lower bound of √v̂ in s.
      weight_decay: λ, or a schedule of it; None for none.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      mu_dtype: the type to keep m in; the parameter's if None.
      nu_dtype: the type to keep v in; if None the parameter's, and float32 for
        half-precision parameters.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a decay rate is outside [0, 1), or another number but the
        learning rate is negative.

    Reference: Wortsman et al., 2023, https://arxiv.org/abs/2304.13013 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.stable_adamw(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.101       0.09900001]
    """
    return chain(
        scale_by_stable_adamw(
            b1,
            b2,
            eps,
            weight_decay,
            mask,
            mu_dtype,
            nu_dtype=nu_dtype,
            axis_name=axis_name,
        ),
        scale_by_learning_rate(learning_rate),
    )
