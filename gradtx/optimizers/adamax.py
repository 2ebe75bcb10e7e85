"""AdaMax: Adam with the largest gradient in place of the mean square."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import debias, ema, safe_divide
from gradtx.common.types import Count, MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.tree.norms import modulus
from gradtx.wrappers.chain import descend


@transformation
def scale_by_adamax(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8
) -> GradientTransformation:
    """Divide the mean gradient by the largest gradient of late.

        m ← β₁ m + (1 - β₁) g
        v ← max(β₂ v, |g| + ε)
        u = m̂ / v                       with m̂ = m / (1 - β₁ᵗ)

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how fast a large gradient is forgotten.
      eps: ε, which the paper does without.

    Raises:
      ValueError: if a decay is outside [0, 1) or ``eps`` is negative.

    Reference: Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_adamax(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        v = jnp.maximum(b2 * v, modulus(g) + eps)
        return safe_divide(debias(m, b1, t), v), m, v

    return leafwise(rule, ScaleByAdamState, mu=zeros, nu=squares)


@transformation
def adamax(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
) -> GradientTransformation:
    """AdaMax: :func:`scale_by_adamax` made an optimizer by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how slowly a large gradient is forgotten.
      eps: ε, at least 0, added to the size of the gradient.

    Example:
      >>> tx, params = gradtx.adamax(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    return descend(scale_by_adamax(b1, b2, eps), learning_rate)


@transformation
def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
) -> GradientTransformation:
    """AdaMaxW: AdaMax with decoupled weight decay.

        p ← p - η (u + λ p)               u: the direction of :func:`scale_by_adamax`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how slowly a large gradient is forgotten.
      eps: ε, at least 0, added to the size of the gradient.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101

    Example:
      >>> tx, params = gradtx.adamaxw(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_adamax(b1, b2, eps)
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
