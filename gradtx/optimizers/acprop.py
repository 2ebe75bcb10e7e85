"""ACProp: divide a gradient by how much the gradients before it surprised."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, debias, ema, safe_divide, sqrt
from gradtx.common.types import Count, MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adabelief import ScaleByBeliefState
from gradtx.wrappers.chain import descend


@transformation
def scale_by_acprop(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
    *,
    centre_on_new_mean: bool = False,
) -> GradientTransformation:
    """Divide the gradient by the surprise of the gradients before it.

        u = g / (√ŝ + ε)            ŝ = s / (1 - β₂ᵗ⁻¹), and √ŝ = 1 at the first step
        s ← β₂ s + (1 - β₂) |g - m|² + ε_root
        m ← β₁ m + (1 - β₁) g

    The denominator does not know the gradient that it divides, and is centred as that
    of :func:`scale_by_belief` is. Here and in optax m is the mean that has not seen g;
    the paper writes the one that has, which is ``centre_on_new_mean``: the surprises
    are then β₁ times as large.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean squared surprise is kept.
      eps: ε, outside the root.
      eps_root: ε_root, added to s at every step.
      centre_on_new_mean: whether m is updated before s.

    Raises:
      ValueError: if a decay is outside [0, 1) or an epsilon is negative.

    Reference: Zhuang et al., 2021, https://arxiv.org/abs/2110.05454

    Example:
      >>> tx, params = gradtx.scale_by_acprop(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, eps_root=eps_root)

    def rule(
        g: jax.Array, m: jax.Array, s: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        past = sqrt(debias(s, b2, jnp.maximum(t - 1, 1)))
        u = safe_divide(g, jnp.where(t == 1, 1, past) + eps)
        mean = ema(m, g, b1)
        centre = mean if centre_on_new_mean else m
        return u, mean, ema(s, abs_sq(g - centre), b2) + eps_root

    return leafwise(rule, ScaleByBeliefState, mu=zeros, nu=squares)


@transformation
def acprop(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    *,
    centre_on_new_mean: bool = False,
) -> GradientTransformation:
    """ACProp: :func:`scale_by_acprop` made an optimizer by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean squared surprise is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, added to the mean squared surprise at every step.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      centre_on_new_mean: whether a gradient's surprise is its distance from the mean
        that it is part of already, as in the paper.

    Example:
      >>> tx, params = gradtx.acprop(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    direction = scale_by_acprop(
        b1, b2, eps, eps_root, centre_on_new_mean=centre_on_new_mean
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
