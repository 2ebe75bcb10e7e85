"""DoG: a step size from how far one has come, over the gradients seen on the way."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import differentiable
from gradtx.common.numerics import abs_sq, largest_square, safe_divide, sqrt
from gradtx.common.types import (
    AxisName,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
    Weights,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import compute_leaves, shared_scalar
from gradtx.core.slots import made_of, weights
from gradtx.core.transformation import GradientTransformation, identity, transformation
from gradtx.lowering.sharding import replicated_like
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.tree import norms
from gradtx.wrappers.chain import chain


class DoGState(NamedTuple):
    """What :func:`scale_by_dog` remembers."""

    is_init_step: jax.Array  # whether no step has been taken
    init_params: Weights  # p₀, where it all began
    max_dist: jax.Array  # r, the farthest from there
    sum_sq_norm_grads: jax.Array  # G


@transformation
def scale_by_dog(
    init_step: tuple[str, Scalar] = ("heuristic", 1e-6),
    eps: Scalar = 1e-8,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Multiply the gradient by the distance gone over the root of its squares' sum.

        r ← max(r, ‖p - p₀‖)
        G ← G + ‖g‖²                            ‖·‖ over all leaves as one vector
        u = g r / √(G + ε)

    Args:
      init_step: a name and a number x. r starts from x for ``"distance"``, and from
        x (1 + ‖p₀‖) for ``"heuristic"``; for ``"learning_rate"`` it starts from 0, and
        the first step is x g.
      eps: ε.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norms of what this device holds.

    Raises:
      ValueError: for another name, or if a number is negative; from ``update`` if it is
        given no parameters, or for an axis that is not there.

    Reference: Ivgi et al., 2023, https://arxiv.org/abs/2302.12022

    Example:
      >>> tx, params = gradtx.scale_by_dog(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [ 2.2e-06 -1.1e-06]
    """
    kind, start = init_step
    checks.non_negative(**{"init_step[1]": start, "eps": eps})
    if kind not in {"distance", "learning_rate", "heuristic"}:
        raise checks.InvalidArgument(
            'init_step must begin with "distance", "learning_rate" or "heuristic", '
            f"got {kind!r}"
        )
    keep = leafwise(_scaled, DoGState, init_params=weights)

    def init(params: Params) -> OptState:
        far = {
            "distance": lambda _: start,
            "heuristic": lambda params: (
                start * (1 + norms.norm(differentiable(params), axis_name=axis_name))
            ),
            "learning_rate": lambda _: 0,
        }[kind]
        return keep.init(params)._replace(
            is_init_step=replicated_like(params, True),  # noqa: FBT003
            max_dist=made_of(
                lambda params: shared_scalar(params, far(params), axis_name), params
            ),
            sum_sq_norm_grads=shared_scalar(params, 0, axis_name),
        )

    def update(
        updates: Updates, state: DoGState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        far = _distance(updates, params, state.init_params, axis_name)
        far = jnp.maximum(state.max_dist, far)
        length, total = _added(updates, state.sum_sq_norm_grads, 1, axis_name)
        # √(G + ε) is at least ‖g‖, unless the squares overflow.
        below = jnp.maximum(sqrt(total + eps), length)
        size = far
        if kind == "learning_rate":
            size = jnp.where(state.is_init_step, start * below, far)
        u, new = keep.update(updates, state, params, size=size, below=below)
        return u, new._replace(
            is_init_step=jnp.zeros_like(state.is_init_step),
            max_dist=far.astype(state.max_dist.dtype),
            sum_sq_norm_grads=total,
        )

    return GradientTransformation(init, update)


class DoWGState(NamedTuple):
    """What :func:`scale_by_dowg` remembers."""

    init_params: Weights  # p₀, where it all began
    weighted_sq_norm_grads: jax.Array  # v
    estim_sq_dist: jax.Array  # r², the square of the farthest from there


@transformation
def scale_by_dowg(
    init_estim_sq_dist: Scalar | None = None,
    eps: Scalar = 1e-4,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Multiply the gradient by a step size in which far steps weigh more than near.

        r² ← max(r², ‖p - p₀‖²)                 ‖·‖ over all leaves as one vector
        v ← v + r² ‖g‖²
        u = g r² / (√v + ε)

    Args:
      init_estim_sq_dist: what r² starts from; ε if None.
      eps: ε.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norms of what this device holds.

    Raises:
      ValueError: if a number is negative; from ``update`` if it is given no parameters,
        or for an axis that is not there.

    Reference: Khaled et al., 2023, https://arxiv.org/abs/2305.16284 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.scale_by_dowg(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.009 -0.004]
    """
    checks.non_negative(init_estim_sq_dist=init_estim_sq_dist, eps=eps)
    keep = leafwise(_scaled, DoWGState, init_params=weights)

    def init(params: Params) -> OptState:
        start = eps if init_estim_sq_dist is None else init_estim_sq_dist
        return keep.init(params)._replace(
            weighted_sq_norm_grads=shared_scalar(params, 0, axis_name),
            estim_sq_dist=shared_scalar(params, start, axis_name),
        )

    def update(
        updates: Updates, state: DoWGState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        far = abs_sq(_distance(updates, params, state.init_params, axis_name))
        far = jnp.maximum(state.estim_sq_dist, far)
        length, total = _added(updates, state.weighted_sq_norm_grads, far, axis_name)
        # √v is at least r ‖g‖, unless the squares overflow.
        below = jnp.maximum(sqrt(total), sqrt(far) * length) + eps
        u, new = keep.update(updates, state, params, size=far, below=below)
        return u, new._replace(
            weighted_sq_norm_grads=total,
            estim_sq_dist=far.astype(state.estim_sq_dist.dtype),
        )

    return GradientTransformation(init, update)


def _scaled(
    g: jax.Array, p0: jax.Array, *, size: jax.Array, below: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return safe_divide(g, below) * size, p0


def _distance(
    updates: Updates, params: Params | None, start: Params, axis_name: AxisName
) -> jax.Array:
    """Return ‖p - p₀‖ over all leaves."""
    leaves = compute_leaves(updates, params, init_params=start)
    return norms.norm([p - p0 for _, p, p0 in leaves], axis_name=axis_name)


def _added(
    updates: Updates, total: jax.Array, weight: Any, axis_name: AxisName
) -> tuple[jax.Array, jax.Array]:
    """Return ‖g‖, and the sum of squares with the weighted new one, which is finite."""
    grads = [g for g, _ in compute_leaves(updates)]
    length = norms.norm(grads, axis_name=axis_name)
    most = largest_square(total.dtype)
    added = jnp.minimum(total + weight * abs_sq(length), most)
    return length, added.astype(total.dtype)


@transformation
def dog(
    learning_rate: ScalarOrSchedule = 1.0,
    init_step: tuple[str, Scalar] = ("heuristic", 1e-6),
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """DoG: :func:`scale_by_dog` made an optimizer, which needs no learning rate.

        p ← p - η r (g + λ p) / √(G + ε)

    It is meant to be evaluated at an average of its steps, not at the last.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      init_step: how the first step is found, as :func:`scale_by_dog` takes it.
      eps: ε.
      weight_decay: λ of an L2 penalty, or a schedule of it; None leaves it out.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      axis_name: as :func:`scale_by_dog` takes it.

    Raises:
      ValueError: if a number is negative.

    Reference: Ivgi et al., 2023, https://arxiv.org/abs/2302.12022

    Example:
      >>> tx, params = gradtx.dog(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-2.e-07  1.e-07]
    """
    scaled = scale_by_dog(init_step, eps, axis_name=axis_name)
    return _penalised(scaled, learning_rate, weight_decay, mask)


@transformation
def dowg(
    learning_rate: ScalarOrSchedule = 1.0,
    init_estim_sq_dist: Scalar | None = None,
    eps: Scalar = 1e-4,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """DoWG: :func:`scale_by_dowg` made an optimizer, which needs no learning rate.

        p ← p - η r² (g + λ p) / (√v + ε)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      init_estim_sq_dist: what r² starts from; ε if None.
      eps: ε.
      weight_decay: λ of an L2 penalty, or a schedule of it; None leaves it out.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      axis_name: as :func:`scale_by_dowg` takes it.

    Raises:
      ValueError: if a number is negative.

    Reference: Khaled et al., 2023, https://arxiv.org/abs/2305.16284

    Example:
      >>> print(gradtx.dowg(eps=1e-6))
      dowg(eps=1e-06)
    """
    scaled = scale_by_dowg(init_estim_sq_dist, eps, axis_name=axis_name)
    return _penalised(scaled, learning_rate, weight_decay, mask)


def _penalised(
    scaled: GradientTransformation,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule | None,
    mask: MaskOrFn | None,
) -> GradientTransformation:
    """Add the gradient of an L2 penalty before, and the learning rate after."""
    checks.non_negative(learning_rate=learning_rate)
    none = weight_decay is None
    penalty = identity() if none else add_decayed_weights(weight_decay, mask)
    return chain(penalty, scaled, scale_by_learning_rate(learning_rate))
