"""Mechanic: learn how far to go along another optimizer's path."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import largest_square, safe_increment, sqrt
from gradtx.common.types import (
    AxisName,
    Count,
    Exact,
    OptState,
    Params,
    Scalar,
    Updates,
    Weights,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import compute_leaves, inner, sum_over_leaves
from gradtx.core.slots import make_slot, weights
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.lowering.varying import varied_with
from gradtx.tree import norms
from gradtx.wrappers.inside import check_descends
from gradtx.wrappers.step import widest


class MechanicState(NamedTuple):
    """What :func:`mechanize` remembers; the vectors have an entry for every β."""

    base_optimizer_state: OptState
    count: Count
    r: Exact  # the reward: how well the path agreed with the gradients
    m: Exact  # the largest |h|
    v: Exact  # the sum of h²
    s: Exact  # the scales, which are summed
    x0: Weights  # where the path begins


@transformation
def mechanize(
    base_optimizer: GradientTransformation,
    weight_decay: Scalar = 1e-2,
    eps: Scalar = 1e-8,
    s_init: Scalar = 1e-6,
    num_betas: int = 6,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Learn the scale of another optimizer's learning rate.

        p = x₀ + S Δ                        Δ: the sum of the base optimizer's updates
        h = ⟨∇f(p) + λ S ‖∇f(p)‖ p / ‖p‖, -Δ⟩
        r ← β r + s clip(h, ±m),  m ← max(β m, |h| + ε),  v ← β² v + h²
        s ← (m s_init / n + max(0, r)) / (√v + ε),  Δ ← Δ + u,  S = Σ s

    for n values β = 1 - 0.1, 1 - 0.01, … together. Give the base optimizer the rate 1,
    with or without a schedule. h is clipped as the authors do since the paper; Δ is not
    kept but follows from p, x₀ and S. A path uphill earns no reward, so that S stays at
    its start: a negative rate is refused where it is known. To ascend, give the
    gradients of -f.

    Args:
      base_optimizer: any optimizer that goes downhill.
      weight_decay: λ, at least 0; 0 for no decay.
      eps: ε, at least 0.
      s_init: what every s starts from, at least 0.
      num_betas: n, a whole number of at least 1.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if a number is negative, the base optimizer's rate too, or n below 1;
        from ``update`` if it is given no parameters.

    Reference: Cutkosky et al., 2023, https://arxiv.org/abs/2306.00144 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.mechanize(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-2.e-07  1.e-07]
    """
    checks.non_negative(weight_decay=weight_decay, eps=eps, s_init=s_init)
    checks.positive_int(num_betas=num_betas)
    check_descends(base_optimizer, mechanize="give it the gradients of -f")
    base = with_extra_args_support(base_optimizer)
    move = _along_the_path()

    def init(params: Params) -> MechanicState:
        zeros = varied_with(params, jnp.zeros(num_betas, widest(params)), axis_name)
        return MechanicState(
            base_optimizer_state=base.init(params),
            count=zero_count(params),
            r=replicated_like(params, zeros),
            m=replicated_like(params, zeros),
            v=replicated_like(params, zeros),
            s=replicated_like(params, zeros + s_init),
            x0=make_slot(weights, params),
        )

    def update(
        updates: Updates,
        state: MechanicState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, MechanicState]:
        checks.require_params(params)
        u, base_state = base.update(
            updates, state.base_optimizer_state, params, **extra
        )
        first, scale = state.count == 0, jnp.sum(state.s)
        h = _agreement(updates, params, state, weight_decay, eps, axis_name)
        # The parameters may have been replaced after init: the path begins here.
        h = jnp.where(first, 0, h)
        tuned = _tune(state, h, eps, s_init)
        new, start = move.update(
            u,
            _Start(state.x0),
            params,
            first=first,
            old=scale + eps,
            new=jnp.sum(tuned["s"]),
        )
        return new, MechanicState(
            base_optimizer_state=base_state,
            count=safe_increment(state.count),
            x0=start.x0,
            **tuned,
        )

    return GradientTransformation(init, update)


class _Start(NamedTuple):
    x0: Weights


@transformation
def _along_the_path() -> GradientTransformation:
    """Move to where the path, made longer by the update, leads at the new scale."""
    return leafwise(_move, _Start, x0=weights)


def _move(
    u: jax.Array,
    x0: jax.Array,
    *,
    p: jax.Array,
    first: jax.Array,
    old: jax.Array,
    new: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x0 = jnp.where(first, p, x0)
    path = (p - x0) / old + u
    return x0 + new * path - p, x0


def _agreement(
    updates: Updates,
    params: Params,
    state: MechanicState,
    weight_decay: Scalar,
    eps: Scalar,
    axis_name: AxisName,
) -> jax.Array:
    """Return h = ⟨g + λ S ‖g‖ p / ‖p‖, -Δ⟩, bounded so that sums of h² are finite."""
    leaves = compute_leaves(updates, params, x0=state.x0)
    length = norms.norm([g for g, _, _ in leaves], axis_name=axis_name)
    size = norms.norm([p for _, p, _ in leaves], axis_name=axis_name) + eps
    scale = jnp.sum(state.s)
    # Large gradients are divided first, as the product with the path may overflow.
    unit = jnp.maximum(length, 1)
    decay = weight_decay * scale * (length / unit)
    products = [inner(g / unit + decay * (p / size), x0 - p) for g, p, x0 in leaves]
    along = sum_over_leaves(products, axis_name)
    bound = largest_square(along.dtype) ** 0.5 / 1e3
    return jnp.clip(along / (scale + eps) * unit, -bound, bound)


def _tune(
    state: MechanicState, h: jax.Array, eps: Scalar, s_init: Scalar
) -> dict[str, jax.Array]:
    n = state.s.size
    betas = 1 - 0.1 ** jnp.arange(1, n + 1, dtype=state.s.dtype)
    m = jnp.maximum(betas * state.m, jnp.abs(h) + eps)
    v = betas**2 * state.v + h**2
    r = betas * state.r + jnp.clip(h, -state.m, state.m) * state.s
    s = (s_init / n * m + jnp.maximum(r, 0)) / (sqrt(v) + eps)
    return {
        name: x.astype(state.s.dtype)
        for name, x in (("r", r), ("m", m), ("v", v), ("s", s))
    }
