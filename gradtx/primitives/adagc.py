"""AdaGC: bound the gradient of every leaf by how large its gradients have been."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import (
    AxisName,
    Count,
    OptState,
    Params,
    PyTree,
    Scalar,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import totals
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.tree import norms


class AdaGCState(NamedTuple):
    """What :func:`adagc` remembers."""

    count: Count
    gamma: PyTree  # γ, for every leaf the mean norm of its bounded gradients


class _Work(NamedTuple):
    """The state of a step, with the norm of every leaf."""

    count: Count
    gamma: PyTree
    length: PyTree


@transformation
def adagc(
    beta: Scalar = 0.98,
    lambda_abs: Scalar = 1.0,
    lambda_rel: Scalar = 1.05,
    warmup_steps: int = 100,
    eps: Scalar = 1e-8,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Scale a leaf's gradient down where it is larger than its gradients were.

        first:  u = g · min(1, λ_abs / (‖all g‖ + ε)),    γ ← min(γ, ‖u‖)
        then:   u = g · min(1, λ_rel max(γ, ε) / max(‖g‖, ε)),    γ ← β γ + (1 - β) ‖u‖

    with the 2-norm of each leaf and, at first, of all leaves as one vector. Stands in
    front of any method. A leaf whose gradient is infinite or NaN goes through
    as it is, and leaves its γ alone.

    Args:
      beta: β, in [0, 1): how much of γ is kept at each step.
      lambda_abs: λ_abs, above 0: the largest norm of all leaves together in the first
        steps.
      lambda_rel: λ_rel, above 0: how much larger than γ a norm may be.
      warmup_steps: how many steps, this number not among them, are the first.
      eps: ε, at least 0; of the norms that it is compared with, the least.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norms of what this device holds.

    Raises:
      ValueError: if a number is outside its range; from ``update`` for an axis that is
        not there.

    Reference: Wang et al., 2025, https://arxiv.org/abs/2502.11034 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.adagc(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    checks.decay_rates(beta=beta)
    checks.positive(lambda_abs=lambda_abs, lambda_rel=lambda_rel)
    checks.non_negative(eps=eps, warmup_steps=warmup_steps)

    def rule(
        g: jax.Array, gamma: jax.Array, length: jax.Array, *, t: Count, whole: jax.Array
    ) -> tuple[jax.Array, ...]:
        warm = t < warmup_steps
        first = numerics.safe_divide(jnp.asarray(lambda_abs, length.dtype), whole + eps)
        floor = jnp.maximum(length, eps)
        later = lambda_rel * numerics.safe_divide(jnp.maximum(gamma, eps), floor)
        factor = jnp.minimum(jnp.where(warm, first, later), 1)
        factor = jnp.where((floor == 0) | ~jnp.isfinite(length), 1, factor)
        new = factor * length
        least = jnp.where(t == 1, new, jnp.minimum(gamma, new))
        kept = jnp.where(warm, least, numerics.ema(gamma, new, beta))
        return factor * g, jnp.where(jnp.isfinite(length), kept, gamma), length

    shrink = leafwise(
        rule,
        _Work,
        elementwise=False,
        axis_name=axis_name,
        shared=("gamma",),
        gamma=totals,
        length=totals,
    )

    def init(params: Params) -> OptState:
        made = shrink.init(params)
        return AdaGCState(made.count, made.gamma)

    def update(
        updates: Updates, state: AdaGCState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        lengths = jax.tree.map(partial(norms.norm, axis_name=axis_name), updates)
        work = _Work(state.count, state.gamma, lengths)
        whole = norms.norm(lengths)
        new, done = shrink.update(updates, work, params, whole=whole)
        return new, AdaGCState(done.count, done.gamma)

    return GradientTransformation(init, update)
