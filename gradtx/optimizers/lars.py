"""LARS: a step of every layer in proportion to the layer's weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import (
    AxisName,
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.masking import restrict
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.sharding import zero_count
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.primitives.momentum import trace
from gradtx.primitives.scale import ScaleByScheduleState
from gradtx.primitives.trust_ratio import scale_by_trust_ratio, trusted
from gradtx.tree import masks, norms
from gradtx.tree.packed import unpacked_only
from gradtx.wrappers.chain import chain


@transformation
def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn = True,
    trust_coefficient: Scalar = 0.001,
    eps: Scalar = 0.0,
    trust_ratio_mask: MaskOrFn = True,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
    *,
    norm_of_sum: bool = False,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """LARS: momentum whose rate in every leaf is relative to the leaf's parameter.

        u = c ‖p‖ / (‖g‖ + λ ‖p‖ + ε) · (g + λ p)      g + λ p where ‖p‖ or the sum is 0
        b ← μ b - η u,   p ← p + b

    optax divides by ‖g + λ p‖ + ε, which differs where there is weight decay;
    ``norm_of_sum`` does the same.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      weight_decay: λ, or a schedule of it.
      weight_decay_mask: which leaves decay: a tree of booleans (True for all), or a
        function from the parameters to one.
      trust_coefficient: c.
      eps: ε.
      trust_ratio_mask: which leaves are rescaled; for the others u = g + λ p. One
        leaves biases and the weights of norms out.
      momentum: μ.
      nesterov: whether the momentum looks ahead.
      norm_of_sum: whether to divide by the norm of the sum, as optax does.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norms of what this device holds.

    Raises:
      ValueError: if the momentum is outside [0, 1], or another number but the
        learning rate is negative; from ``update`` for an axis that is not there.

    Reference: You et al., 2017, https://arxiv.org/abs/1708.03888 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.lars(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-1.265e-04  6.320e-05]
    """
    checks.non_negative(
        weight_decay=weight_decay, trust_coefficient=trust_coefficient, eps=eps
    )
    checks.unit_interval(momentum=momentum)
    if norm_of_sum:
        ratio = scale_by_trust_ratio(
            trust_coefficient=trust_coefficient, eps=eps, axis_name=axis_name
        )
        directions = [
            add_decayed_weights(weight_decay, weight_decay_mask),
            restrict(ratio, trust_ratio_mask),
        ]
    else:
        masks_ = weight_decay_mask, trust_ratio_mask
        directions = [
            _layerwise(weight_decay, trust_coefficient, eps, *masks_, axis_name)
        ]
    return chain(
        *directions, scale_by_learning_rate(learning_rate), trace(momentum, nesterov)
    )


class _Numbers(NamedTuple):
    """What the rule is told of every leaf."""

    decay: PyTree  # λ, and 0 where the leaf does not decay
    scaled: PyTree  # 1 where the leaf is rescaled, and 0 elsewhere


def _layerwise(
    weight_decay: ScalarOrSchedule,
    trust: Scalar,
    eps: Scalar,
    decay_mask: MaskOrFn,
    trust_mask: MaskOrFn,
    axis_name: AxisName,
) -> GradientTransformation:
    """Decay and rescale at once, as the norms are taken before the decay is added."""

    def rule(
        g: jax.Array, decay: jax.Array, scaled: jax.Array, *, p: jax.Array
    ) -> tuple[jax.Array, ...]:
        size, u = norms.norm(p, axis_name=axis_name), g + decay * p
        length = norms.norm(g, axis_name=axis_name) + decay * size
        trusty = trusted(u, trust * size, length + eps, (size, length))
        return jnp.where(scaled > 0, trusty, u), decay, scaled

    step = leafwise(rule, _Numbers, decay=_number, scaled=_number)

    def init(params: Params) -> OptState:
        unpacked_only(params)
        counts = callable(weight_decay)
        return ScaleByScheduleState(zero_count(params)) if counts else EmptyState()

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        now = numerics.value_at(weight_decay, getattr(state, "count", None))
        numbers = _Numbers(
            _where(decay_mask, updates, now), _where(trust_mask, updates, 1.0)
        )
        updates, _numbers = step.update(updates, numbers, params)
        if not callable(weight_decay):
            return updates, state
        return updates, ScaleByScheduleState(numerics.safe_increment(state.count))

    return GradientTransformation(init, update)


def _number(p: jax.Array) -> jax.Array:
    del p
    return jnp.zeros(())


def _where(mask: MaskOrFn, tree: PyTree, value: Any) -> PyTree:
    """Return a number for every leaf: ``value`` where the mask is True, and 0 else."""

    def numbers(flag: bool, part: PyTree) -> PyTree:
        return jax.tree.map(lambda _: jnp.asarray(value if flag else 0.0, float), part)

    return jax.tree.map(numbers, masks.resolve_mask(mask, tree), tree)
