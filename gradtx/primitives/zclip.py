"""ZClip: bound the gradients by how large they have been, in standard deviations."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, directions, numerics
from gradtx.common.types import AxisName, Count, OptState, Params, Scalar, Updates
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import shared_scalar
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.tree import norms


class ZClipState(NamedTuple):
    """What :func:`zclip` remembers, and what it did."""

    count: Count  # finite norms seen so far
    mean: Any  # μ
    std: Any  # σ
    clipped: Count  # spikes so far


@order.keeps("direction")
@transformation
def zclip(
    alpha: Scalar = 0.97,
    z_thresh: Scalar = 2.5,
    max_grad_norm: Scalar | None = 1.0,
    eps: Scalar = 1e-6,
    warmup_steps: int = 25,
    mode: str = "zscore",
    clip_option: str = "adaptive_scaling",
    clip_factor: Scalar = 1.0,
    skip_update_on_spike: bool = False,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Scale all updates down where their norm is an outlier among the norms before.

        n = ‖g‖₂ over all leaves,    z = (n - μ) / (σ + ε)
        b = (μ + z* σ / (z / z*)) c  where z > z*,  else n          "adaptive_scaling"
        b = μ                        where z > z*,  else n          "mean"
        b = min(n, μ + z* σ)                                        "percentile"
        u = g · min(b, max_grad_norm) / n      where that is less than g
        μ ← α μ + (1 - α) b,    σ² ← α σ² + (1 - α) (b - μ)²

    In the first W steps only ``max_grad_norm`` bounds the updates; μ and σ begin as the
    mean and the standard deviation of the norms of these. A norm that is infinite or
    NaN changes neither, and goes through as it is.

    Args:
      alpha: α, in [0, 1): how much of the mean and the variance is kept at each step.
      z_thresh: z*, above 0: how many deviations make an outlier, a spike.
      max_grad_norm: the largest norm allowed, at least 0; None for no such bound.
      eps: ε, at least 0, added to σ.
      warmup_steps: W, at least 1.
      mode: "zscore", or "percentile" to bound all norms by μ + z* σ.
      clip_option: "adaptive_scaling", by which a norm that is farther out is cut to
        less, or "mean"; in mode "zscore" only.
      clip_factor: c, above 0, with "adaptive_scaling" only.
      skip_update_on_spike: whether a spike leaves μ and σ as they are.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norm of what this device holds.

    Raises:
      ValueError: if a number is outside its range, or a mode or an option not known;
        from ``update`` for an axis that is not there.

    Reference: Kumar et al., 2025, https://arxiv.org/abs/2504.02507 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.zclip(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    checks.decay_rates(alpha=alpha)
    checks.positive(z_thresh=z_thresh, clip_factor=clip_factor)
    checks.non_negative(max_grad_norm=max_grad_norm, eps=eps)
    checks.positive_int(warmup_steps=warmup_steps)
    bound_of = _bounding(mode, clip_option, z_thresh, eps, clip_factor)
    multiply = leafwise(lambda g, *, factor: factor * g, EmptyState)

    def init(params: Params) -> OptState:
        multiply.init(params)
        state = ZClipState(
            count=zero_count(params),
            mean=shared_scalar(params, 0, axis_name),
            std=shared_scalar(params, 0, axis_name),
            clipped=zero_count(params),
        )
        # What is counted hangs on all leaves.
        return varied_with(params, state, axis_name)

    def update(
        updates: Updates, state: ZClipState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        n = norms.norm(updates, axis_name=axis_name).astype(state.mean.dtype)
        warm, finite = state.count < warmup_steps, jnp.isfinite(n)
        far, bound = bound_of(n, state)
        spike = far & ~warm & finite
        bound = jnp.where(spike, bound, n)
        mean, std = _followed(state, bound, alpha)
        if skip_update_on_spike:
            mean, std = _chosen(spike, (state.mean, state.std), (mean, std))
        mean, std = _chosen(warm, _gathered(state, n), (mean, std))
        mean, std = _chosen(finite, (mean, std), (state.mean, state.std))
        most = bound if max_grad_norm is None else jnp.minimum(bound, max_grad_norm)
        factor = jnp.where(finite & (n > most), most / (n + 1e-6), 1)
        new, _empty = multiply.update(updates, EmptyState(), params, factor=factor)
        counted = numerics.safe_increment(state.count)
        return new, ZClipState(
            count=jnp.where(finite, counted, state.count),
            mean=mean,
            std=std,
            clipped=jnp.where(
                spike, numerics.safe_increment(state.clipped), state.clipped
            ),
        )

    return GradientTransformation(init, update)


def _bounding(
    mode: str, option: str, z_thresh: Scalar, eps: Scalar, factor: Scalar
) -> Any:
    """Return the function that tells whether a norm is too large, and its bound."""
    if mode not in ("zscore", "percentile"):
        raise checks.InvalidArgument(
            f'mode must be "zscore" or "percentile", got {mode!r}'
        )
    if option not in ("adaptive_scaling", "mean"):
        raise checks.InvalidArgument(
            f'clip_option must be "adaptive_scaling" or "mean", got {option!r}'
        )

    def percentile(n: jax.Array, state: ZClipState) -> tuple[jax.Array, jax.Array]:
        bound = state.mean + z_thresh * state.std
        return n > bound, bound

    def zscore(n: jax.Array, state: ZClipState) -> tuple[jax.Array, jax.Array]:
        z = numerics.safe_divide(n - state.mean, state.std + eps)
        far = z > z_thresh
        if option == "mean":
            return far, state.mean
        excess = jnp.where(far, z, z_thresh) / z_thresh
        return far, (state.mean + z_thresh * state.std / excess) * factor

    return percentile if mode == "percentile" else zscore


def _followed(state: ZClipState, x: jax.Array, alpha: Scalar) -> tuple[Any, Any]:
    """Return the running mean and deviation, whose squares would overflow first."""
    mean = alpha * state.mean + (1 - alpha) * x
    kept, new = (numerics.sqrt(jnp.asarray(a)) for a in (alpha, 1 - alpha))
    std = directions.hypot(kept * state.std, new * (x - mean))
    return mean.astype(x.dtype), std.astype(x.dtype)


def _gathered(state: ZClipState, x: jax.Array) -> tuple[Any, Any]:
    """Return the mean and deviation of what came so far and this."""
    before = state.count.astype(x.dtype)
    share = 1 / (before + 1)
    apart = x - state.mean
    std = directions.hypot(
        state.std * jnp.sqrt(before * share), apart * jnp.sqrt(before) * share
    )
    return state.mean + apart * share, std


def _chosen(flag: jax.Array, these: Any, those: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(flag, x, y), these, those)
