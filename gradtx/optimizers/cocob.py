"""COCOB: bet on the direction of every parameter, and stake what was won."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import safe_divide
from gradtx.common.types import (
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
    Weights,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, weights, wide_zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.wrappers.chain import chain


class COCOBState(NamedTuple):
    """What :func:`scale_by_cocob` remembers."""

    init_particles: Weights  # p₀, where it all began
    cumulative_gradients: Updates  # θ, the sum of the negative gradients
    scale: SecondMoment  # L, the largest |g| so far
    subgradients: SecondMoment  # G, the sum of |g|
    reward: SecondMoment  # R, what was won


@transformation
def scale_by_cocob(alpha: Scalar = 100.0, eps: Scalar = 1e-8) -> GradientTransformation:
    """Stake the wealth of every parameter on the direction that its gradients point to.

        L ← max(L, |g|)                              from ε
        G ← G + |g|
        R ← max(R - g (p - p₀), 0)
        θ ← θ - g
        u = p₀ + θ (L + R) / (L max(G + L, α L)) - p

    The updates are steps already: no learning rate follows. Every entry of a parameter
    bets by itself, and multiplying the gradients by a number changes nothing.

    Args:
      alpha: α, about the number of steps in which the stakes are held back.
      eps: ε, the largest |g| before the first step.

    Raises:
      ValueError: if a number is negative; from ``update`` if it is given no parameters,
        or complex ones: wrap :func:`split_real_and_imaginary` around it for those.

    Reference: Orabona and Tommasi, 2017, https://arxiv.org/abs/1705.07795 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_cocob(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.01  0.01]
    """
    checks.non_negative(alpha=alpha, eps=eps)

    def rule(
        g: jax.Array,
        p0: jax.Array,
        theta: jax.Array,
        L: jax.Array,
        G: jax.Array,
        R: jax.Array,
        *,
        p: jax.Array,
    ) -> tuple[jax.Array, ...]:
        if jnp.iscomplexobj(g):
            raise checks.InvalidArgument(
                "bets are placed on real numbers: for complex parameters use "
                "split_real_and_imaginary(cocob(...))"
            )
        L = jnp.maximum(L, jnp.abs(g))
        G = G + jnp.abs(g)
        R = jnp.maximum(R - g * (p - p0), 0)
        theta = theta - g
        stake = safe_divide(theta, jnp.maximum(G + L, alpha * L))
        return p0 + stake * (1 + safe_divide(R, L)) - p, p0, theta, L, G, R

    return leafwise(
        rule,
        COCOBState,
        init_particles=weights,
        cumulative_gradients=wide_zeros,
        scale=partial(squares, fill=eps),
        subgradients=squares,
        reward=squares,
    )


@transformation
def cocob(
    learning_rate: ScalarOrSchedule = 1.0,
    alpha: Scalar = 100.0,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
) -> GradientTransformation:
    """COCOB: :func:`scale_by_cocob` of gradients with an L2 penalty.

    Args:
      learning_rate: what the gradients are multiplied by, or a schedule of it. A fixed
        number changes nothing but what ε means.
      alpha: α, about the number of steps in which the stakes are held back.
      eps: ε, the largest |g| before the first step.
      weight_decay: λ of the penalty, whose gradient λ p is added to g, or a schedule.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.

    Raises:
      ValueError: as :func:`scale_by_cocob` does.

    Reference: Orabona and Tommasi, 2017, https://arxiv.org/abs/1705.07795 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.cocob(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.01  0.01]
    """
    return chain(
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate, flip_sign=False),
        scale_by_cocob(alpha, eps),
    )
