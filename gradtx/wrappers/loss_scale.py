"""Loss scaling: float16 gradients that neither overflow nor vanish."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import AxisName, Count, OptState, Params, Scalar, Updates
from gradtx.core.leafwise import to_compute_dtype
from gradtx.core.reductions import shared_scalar
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.primitives.scale import zeros_for
from gradtx.wrappers.skip import count_not_finite
from gradtx.wrappers.step import is_ours, run_if, typed_like


class DynamicLossScaleState(NamedTuple):
    """What :func:`dynamic_loss_scale` remembers, and what it left out."""

    loss_scale: Any  # S, what the next loss is to be multiplied by
    fin_steps: Count  # finite gradients since S last changed
    skipped: Count  # steps left out so far
    last_finite: Any  # whether the last gradients were finite
    inner_state: OptState


@transformation
def dynamic_loss_scale(
    inner: GradientTransformation,
    initial_scale: Scalar = 2.0**15,
    growth_interval: int = 2000,
    growth_factor: Scalar = 2.0,
    backoff_factor: Scalar = 0.5,
    min_scale: Scalar = 2.0**-126,
    max_scale: Scalar = 2.0**127,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Undo the scale of a loss, and find the largest scale that float16 can hold.

        G = ∇(S · loss)                            the gradients that update is given
        G finite:      u = inner(G / S);           S ← S · growth   every n such steps
        G not finite:  no step;                    S ← S · backoff

    Multiply the loss by ``gradtx.tree.get(state, "loss_scale")`` before its gradient is
    taken:

        scale = gradtx.tree.get(state, "loss_scale")
        grads = jax.grad(lambda p: scale * loss(p, batch))(params)
        updates, state = tx.update(grads, state, params)

    G / S is computed in float32, and given to ``inner`` so. A step that is left out has
    updates of zero and leaves the state of ``inner`` as it is; ``skipped`` in the state
    counts those. This is PyTorch's and Keras's rule. Flax's grows one step later: its
    interval n is n + 1 here.

    Args:
      inner: any optimizer, with bounds on the gradients if there are any.
      initial_scale: S at first, above 0.
      growth_interval: n, at least 1: after how many finite steps S grows.
      growth_factor: what S is multiplied by then, at least 1.
      backoff_factor: what S is multiplied by where the gradients are not finite, in
        (0, 1].
      min_scale: where S stops falling, above 0.
      max_scale: where S stops growing, above 0.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a number is outside its range.

    Reference: Micikevicius et al., 2018, https://arxiv.org/abs/1710.03740 (section 3.2)

    Example:
      >>> tx, params = (
      ...     gradtx.dynamic_loss_scale(gradtx.sgd(0.1), initial_scale=2.0),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1   0.05]
    """
    checks.positive(
        initial_scale=initial_scale,
        backoff_factor=backoff_factor,
        min_scale=min_scale,
        max_scale=max_scale,
    )
    checks.positive_int(growth_interval=growth_interval)
    checks.at_least(1, growth_factor=growth_factor)
    checks.unit_interval(backoff_factor=backoff_factor)
    ours, inner = is_ours(inner), with_extra_args_support(inner)

    def init(params: Params) -> DynamicLossScaleState:
        inner_state = inner.init(params)
        state = DynamicLossScaleState(
            loss_scale=shared_scalar(params, initial_scale, axis_name),
            fin_steps=zero_count(params),
            skipped=zero_count(params),
            last_finite=zero_count(params) == 0,
            inner_state=inner_state,
        )
        # Which steps are left out hangs on all.
        return varied_with(params, state, axis_name)

    def update(
        updates: Updates,
        state: DynamicLossScaleState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, DynamicLossScaleState]:
        finite, scale = count_not_finite(updates, axis_name) == 0, state.loss_scale

        def take(
            updates: Updates,
            state: OptState,
            params: Params | None = None,
            **extra: Any,
        ) -> tuple[Updates, OptState]:
            given = jax.tree.map(lambda g: _divided(g, scale), updates)
            given = given if ours else typed_like(updates, given)
            return inner.update(given, state, params, **extra)

        new, inner_state = run_if(
            finite,
            GradientTransformation(init, take),
            updates,
            state.inner_state,
            params,
            extra,
            otherwise=zeros_for(updates, params),
            zero=True,
        )
        steps = state.fin_steps + 1
        grows = finite & (steps >= growth_interval)
        grown = jnp.minimum(scale * growth_factor, max_scale)
        less = jnp.maximum(scale * backoff_factor, min_scale)
        new_scale = jnp.where(grows, grown, jnp.where(finite, scale, less))
        skipped = numerics.safe_increment(state.skipped)
        return new, DynamicLossScaleState(
            loss_scale=new_scale.astype(scale.dtype),
            fin_steps=jnp.where(grows | ~finite, 0, steps),
            skipped=jnp.where(finite, state.skipped, skipped),
            last_finite=finite,
            inner_state=inner_state,
        )

    return GradientTransformation(init, update)


def _divided(g: Any, scale: jax.Array) -> Any:
    if not is_differentiable(g):
        return g
    wide = to_compute_dtype(jnp.asarray(g))
    return wide / scale.astype(wide.real.dtype)
