"""Fromage: a step relative to the weights, which cannot make them grow."""

import jax

from gradtx.common import checks
from gradtx.common.numerics import sqrt
from gradtx.common.types import AxisName, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.scheduled import scheduled
from gradtx.primitives.trust_ratio import scale_by_trust_ratio
from gradtx.wrappers.chain import chain


@transformation
def fromage(
    learning_rate: ScalarOrSchedule,
    min_norm: Scalar = 1e-6,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Fromage: turn every leaf by an angle, whatever the lengths of leaf and gradient.

        p ← (p - η g ‖p‖ / ‖g‖) / √(1 + η²)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      min_norm: what both norms are raised to where they are smaller.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`clip_by_global_norm` takes it.
        None: the norms of what this device holds.

    Raises:
      ValueError: if the learning rate is not finite, or ``min_norm`` is negative.

    Reference: Bernstein et al., 2020, https://arxiv.org/abs/2002.03432 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.fromage(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.13100001  0.058     ]
    """
    checks.finite(learning_rate=learning_rate)
    checks.non_negative(min_norm=min_norm)
    turn = scale_by_trust_ratio(min_norm, axis_name=axis_name)
    return chain(turn, scheduled(_rule, rate=learning_rate))


def _rule(u: jax.Array, *, p: jax.Array, rate: Scalar) -> jax.Array:
    root = sqrt(1 + rate * rate)
    # 1 / √(1 + η²) - 1, without the cancellation that a small η brings
    shrink = -rate * rate / (root * (1 + root))
    return shrink * p - (rate / root) * u
