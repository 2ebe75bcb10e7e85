"""Adadelta: a step in the parameters' own units, without a learning rate."""

from typing import NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, ema, safe_divide, sqrt
from gradtx.common.types import MaskOrFn, Scalar, ScalarOrSchedule, SecondMoment
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.wrappers.chain import chain


class ScaleByAdaDeltaState(NamedTuple):
    """What :func:`scale_by_adadelta` remembers."""

    e_g: SecondMoment  # the mean square of the gradients
    e_x: SecondMoment  # the mean square of the updates


@transformation
def scale_by_adadelta(rho: Scalar = 0.9, eps: Scalar = 1e-6) -> GradientTransformation:
    """Multiply by the size of the past updates, and divide by that of the gradients.

        G ← ρ G + (1 - ρ) |g|²
        u = g √(X + ε) / √(G + ε)
        X ← ρ X + (1 - ρ) |u|²

    Args:
      rho: ρ, how much of the means is kept at each step.
      eps: ε, which also makes the first steps possible.

    Raises:
      ValueError: if ``rho`` is outside [0, 1) or ``eps`` is negative.

    Reference: Zeiler, 2012, https://arxiv.org/abs/1212.5701 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.scale_by_adadelta(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.003 -0.003]
    """
    checks.decay_rates(rho=rho)
    checks.non_negative(eps=eps)

    def rule(g: jax.Array, grads: jax.Array, moves: jax.Array) -> tuple[jax.Array, ...]:
        grads = ema(grads, abs_sq(g), rho)
        u = safe_divide(g, sqrt(grads + eps)) * sqrt(moves + eps)
        return u, grads, ema(moves, abs_sq(u), rho)

    return leafwise(rule, ScaleByAdaDeltaState, e_g=squares, e_x=squares)


@transformation
def adadelta(
    learning_rate: ScalarOrSchedule | None = None,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn | None = None,
) -> GradientTransformation:
    """Adadelta: :func:`scale_by_adadelta` of the gradient with an L2 penalty.

        p ← p - η u             u: the direction for the gradient g + λ p

    Args:
      learning_rate: η, or a schedule of the number of steps taken. With None the
        *ascent* direction u goes out: follow it with ``scale(-1.0)``.
      rho: ρ, how much of the means is kept at each step.
      eps: ε.
      weight_decay: λ, or a schedule of it.
      weight_decay_mask: which leaves decay, as :func:`add_decayed_weights` takes it.

    Raises:
      ValueError: if ``rho`` is outside [0, 1), or another number but the learning
        rate is negative.

    Reference: Zeiler, 2012, https://arxiv.org/abs/1212.5701

    Example:
      >>> tx, params = gradtx.adadelta(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-0.0003162  0.0003162]
    """
    checks.non_negative(weight_decay=weight_decay)
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(learning_rate),
    )
