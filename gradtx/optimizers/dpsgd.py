"""DP-SGD: sums of bounded gradients, and noise that hides every example."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import gradient_fits, parted
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import (
    AxisName,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.by_hand import settled
from gradtx.core.leafwise import (
    Leaf,
    flatten_updates,
    matching_params,
    to_compute_dtype,
)
from gradtx.core.transformation import GradientTransformation, identity, transformation
from gradtx.lowering.sharding import replicated_like
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.primitives.momentum import trace
from gradtx.primitives.noise import normal_like, random_key
from gradtx.primitives.per_example import per_example_global_norm_clip
from gradtx.wrappers.chain import chain


class DifferentiallyPrivateAggregateState(NamedTuple):
    """What :func:`differentially_private_aggregate` remembers."""

    rng_key: jax.Array  # the key that the next step's noise is drawn with


@transformation
def differentially_private_aggregate(
    l2_norm_clip: Scalar,
    noise_multiplier: Scalar,
    key: jax.Array | int | None = None,
    *,
    seed: int | None = None,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Take the mean of the examples' gradients, each bounded, with noise.

        u = (Σᵢ gᵢ · min(1, C / ‖gᵢ‖₂) + z) / B,       z ~ N(0, (σ C)²)

    Unlike other transformations it takes the gradients of the B examples, along the
    first axis of every leaf, as ``jax.vmap(jax.grad(loss), (None, 0))`` makes them; it
    must come first in a chain, and cannot accumulate.

    Args:
      l2_norm_clip: C, the norm over all leaves that no example exceeds.
      noise_multiplier: σ, the noise relative to that.
      key: the random key to start from, or an integer to make one of; None means 0.
        The privacy is that of the key: keep it secret.
      seed: an older name of ``key``.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed for the norm of an example, as
        :func:`clip_by_global_norm` takes it. Every part gets noise of its own. None:
        the norms of what this device holds.

    Raises:
      ValueError: if a number is negative, or if both ``key`` and ``seed`` are given;
        from ``update`` for leaves without examples, or with different numbers of them.

    Reference: Abadi et al., 2016, https://arxiv.org/abs/1607.00133 (Algorithm 1)

    Example:
      >>> tx, params = (
      ...     gradtx.contrib.differentially_private_aggregate(1.0, 0.0),
      ...     jnp.ones(2),
      ... )
      >>> grads = jnp.array([[3.0, 4.0], [0.0, 0.0]])  # of two examples
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(3))
      [0.3 0.4]
    """
    checks.non_negative(l2_norm_clip=l2_norm_clip, noise_multiplier=noise_multiplier)
    if key is not None and seed is not None:
        raise checks.InvalidArgument("give either key or its older name seed, not both")
    given = seed if key is None else key

    def init(params: Params) -> OptState:
        rng_key = random_key(0 if given is None else given)
        return DifferentiallyPrivateAggregateState(replicated_like(params, rng_key))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        found = _parameters(params, leaves, treedef)
        grads, put = parted(updates)
        wide = put([to_compute_dtype(jnp.asarray(g)) for g in grads], alone=True)
        clipped, _counts = per_example_global_norm_clip(wide, l2_norm_clip, axis_name)
        sums = jax.tree.leaves(clipped)
        rng_key, *keys = jax.random.split(state.rng_key, len(sums) + 1)
        batch = max((g.shape[0] for g in jax.tree.leaves(wide)), default=1)
        std = l2_norm_clip * noise_multiplier
        means = (
            (x + std * normal_like(k, x)) / batch
            for x, k in zip(sums, keys, strict=True)
        )
        new = [
            settled(next(means) if is_differentiable(g) else None, g, p)
            for (_, g), p in zip(leaves, found, strict=True)
        ]
        new_state = DifferentiallyPrivateAggregateState(rng_key)
        return treedef.unflatten(new), new_state

    return GradientTransformation(init, update)


def _parameters(params: Params | None, leaves: list[Leaf], treedef: Any) -> list[Any]:
    """Return the parameter of every leaf; refuse what is no batch of gradients."""
    if params is None:
        return matching_params(params, leaves, treedef)
    found = checks.leaves_like(params, treedef, "parameters", "updates")
    for (path, g), p in zip(leaves, found, strict=True):
        if is_differentiable(g) and is_differentiable(p):
            what = "the gradient of one example"
            checks.same_shape(g.shape[1:], jnp.shape(p), path, what, "the parameter")
        elif is_differentiable(g) or is_differentiable(p):
            gradient_fits(path, g, p)
    return found


@transformation
def dpsgd(
    learning_rate: ScalarOrSchedule,
    l2_norm_clip: Scalar,
    noise_multiplier: Scalar,
    key: jax.Array | int | None = None,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    *,
    seed: int | None = None,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """DP-SGD: SGD with :func:`differentially_private_aggregate`.

    It takes the gradients of single examples, along the first axis of every leaf.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      l2_norm_clip: the norm that no example's gradient exceeds.
      noise_multiplier: the noise relative to that norm.
      key: the random key to start from, or an integer to make one of; None means 0.
      momentum: how much of the sum of the steps is kept; None keeps no sum.
      nesterov: whether the momentum looks ahead.
      seed: an older name of ``key``.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        norm of an example is taken of leaves in parts, as
        :func:`differentially_private_aggregate` takes it.

    Raises:
      ValueError: as :func:`differentially_private_aggregate` does.

    Reference: Abadi et al., 2016, https://arxiv.org/abs/1607.00133 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.contrib.dpsgd(0.1, 1.0, 0.0), jnp.ones(2)
      >>> grads = jnp.array([[3.0, 4.0], [0.0, 0.0]])  # of two examples
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(3))
      [-0.03 -0.04]
    """
    checks.unit_interval(momentum=momentum)
    return chain(
        differentially_private_aggregate(
            l2_norm_clip, noise_multiplier, key, seed=seed, axis_name=axis_name
        ),
        identity() if momentum is None else trace(momentum, nesterov),
        scale_by_learning_rate(learning_rate),
    )
