"""MADGRAD: dual averaging with a cube root and momentum."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    largest_square,
    one_minus,
    safe_divide,
    value_at,
)
from gradtx.common.types import (
    Count,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
    Weights,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, weights, wide_zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.downhill import add_decayed_weights
from gradtx.wrappers.chain import chain


class MadgradState(NamedTuple):
    """What :func:`scale_by_madgrad` remembers."""

    count: Count
    grad_sum_sq: SecondMoment  # v, the weighted sum of the squares
    s: Updates  # the weighted sum of the gradients
    x0: Weights  # where it all began


@transformation
def scale_by_madgrad(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar = 0.9,
    eps: Scalar = 1e-6,
) -> GradientTransformation:
    """Move towards where all gradients so far, weighted, have pulled the first point.

        λ = (η + ε) √t
        s ← s + λ g
        v ← v + λ |g|²
        z = x₀ - s / (∛v + ε)
        u = (1 - β) (z - p)                         so that p ← β p + (1 - β) z

    The updates are steps already: no learning rate follows. As the sums reach back to
    the first step, what follows in a chain, and other hands on the parameters, do not
    move x₀. The ε beside η is that of the authors' package.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      momentum: β.
      eps: ε.

    Raises:
      ValueError: if the momentum is outside [0, 1), or another number is negative; from
        ``update`` if it is given no parameters.

    Reference: Defazio and Jelassi, 2021, https://arxiv.org/abs/2101.11075 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.scale_by_madgrad(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.027  0.022]
    """
    checks.decay_rates(momentum=momentum)
    checks.non_negative(learning_rate=learning_rate, eps=eps)

    def rule(
        g: jax.Array,
        v: jax.Array,
        s: jax.Array,
        x0: jax.Array,
        *,
        t: Count,
        p: jax.Array,
    ) -> tuple[jax.Array, ...]:
        weight = (value_at(learning_rate, t - 1) + eps) * jnp.sqrt(t.astype(v.dtype))
        v = jnp.minimum(v + weight * abs_sq(g), largest_square(v.dtype))
        s = s + weight * g
        z = x0 - safe_divide(s, _cbrt(v) + eps)
        return one_minus(momentum) * (z - p), v, s, x0

    return leafwise(rule, MadgradState, grad_sum_sq=squares, s=wide_zeros, x0=weights)


def _cbrt(x: jax.Array) -> jax.Array:
    """Return ∛x, with the derivative 0 at 0, where the true one is infinite."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.cbrt(jnp.where(zero, 1, x)))


@transformation
def madgrad(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar = 0.9,
    weight_decay: ScalarOrSchedule = 0.0,
    eps: Scalar = 1e-6,
) -> GradientTransformation:
    """MADGRAD: :func:`scale_by_madgrad` of gradients with an L2 penalty.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      momentum: β.
      weight_decay: λ of the penalty, whose gradient λ p is added to g, or a schedule.
      eps: ε.

    Raises:
      ValueError: as :func:`scale_by_madgrad` does, and if λ is negative.

    Reference: Defazio and Jelassi, 2021, https://arxiv.org/abs/2101.11075

    Example:
      >>> tx, params = gradtx.madgrad(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.027  0.022]
    """
    return chain(
        add_decayed_weights(weight_decay),
        scale_by_madgrad(learning_rate, momentum, eps),
    )
