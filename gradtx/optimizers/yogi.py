"""Yogi: Adam whose mean square grows and shrinks at the same pace."""

from functools import partial

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, debias, ema, one_minus, safe_divide, sqrt
from gradtx.common.types import Count, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.wrappers.chain import descend


@transformation
def scale_by_yogi(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-3,
    eps_root: Scalar = 0.0,
    initial_accumulator_value: Scalar = 1e-6,
    *,
    bias_correction: bool = True,
) -> GradientTransformation:
    """Divide the mean gradient by a mean square that changes by the newest square only.

        m ← β₁ m + (1 - β₁) g
        v ← v - (1 - β₂) sign(v - |g|²) |g|²
        u = m̂ / (√(v̂ + ε_root) + ε)      with m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    Where Adam's mean square falls fast after large gradients, this falls slowly. The
    paper has no bias correction and starts m at 0; with a correction, and both means
    started at the same number, this is optax's.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: 1 - β₂ is the pace of the mean square.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.
      initial_accumulator_value: what m and v start from.
      bias_correction: whether to divide m and v by 1 - βᵗ.

    Raises:
      ValueError: if a decay is outside [0, 1), or another number is negative.

    Reference: Zaheer et al., 2018,
      https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization
      (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_yogi(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.9990001 -0.998    ]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(
        eps=eps,
        eps_root=eps_root,
        initial_accumulator_value=initial_accumulator_value,
    )

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        square = abs_sq(g)
        m = ema(m, g, b1)
        v = v - one_minus(b2) * jnp.sign(v - square) * square
        mean, spread = m, v
        if bias_correction:
            mean, spread = debias(m, b1, t), debias(v, b2, t)
        return safe_divide(mean, sqrt(spread + eps_root) + eps), m, v

    return leafwise(
        rule,
        ScaleByAdamState,
        mu=lambda p: jnp.full_like(p, initial_accumulator_value),
        nu=partial(squares, fill=initial_accumulator_value),
    )


@transformation
def yogi(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-3,
    *,
    bias_correction: bool = True,
) -> GradientTransformation:
    """Yogi: :func:`scale_by_yogi` made an optimizer by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1); 1 - β₂ is the pace of the mean square.
      eps: ε, at least 0, outside the root.
      bias_correction: whether to divide both means by 1 - βᵗ; the paper does not.

    Example:
      >>> tx, params = gradtx.yogi(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_yogi(b1, b2, eps, bias_correction=bias_correction)
    return descend(direction, learning_rate)
