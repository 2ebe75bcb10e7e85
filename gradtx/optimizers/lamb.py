"""LAMB: Adam's direction, as long in every layer as the layer's weights."""

from gradtx.common.types import AxisName, MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import scale_by_adam
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.primitives.trust_ratio import scale_by_trust_ratio
from gradtx.wrappers.chain import chain


@transformation
def lamb(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    eps_root: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """LAMB: Adam with decay, rescaled in every leaf to the length of its parameter.

        r = m̂ / (√v̂ + ε) + λ p             m̂, v̂ as in :func:`scale_by_adam`
        p ← p - η r ‖p‖ / ‖r‖               p - η r where ‖p‖ or ‖r‖ is 0

    Made for batches of tens of thousands of examples.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      eps_root: what is added inside the root.
      weight_decay: λ, or a schedule of it.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norms of what this device holds.

    Raises:
      ValueError: if a decay rate is outside [0, 1), or another number but the
        learning rate is negative; from ``update`` for an axis that is not there.

    Reference: You et al., 2020, https://arxiv.org/abs/1904.00962 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.lamb(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(axis_name=axis_name),
        scale_by_learning_rate(learning_rate),
    )
