"""ASGD as in PyTorch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import value_at
from gradtx.common.types import Count, Params, Scalar, ScalarOrSchedule, Weights
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import weights
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.wrappers.averages import merge
from gradtx.wrappers.chain import chain


class AsgdState(NamedTuple):
    """What :func:`ASGD` remembers."""

    count: Count
    ax: Weights  # a, the mean of the parameters since step t₀

    def averaged_params(self, params: Params) -> Params:
        """Return the mean, in the types of the parameters."""
        return merge(self.ax, params)


@foreign_signature("weight_decay")
def ASGD(  # noqa: N802
    lr: ScalarOrSchedule = 1e-2,
    lambd: Scalar = 1e-4,
    alpha: Scalar = 0.75,
    t0: Scalar = 1e6,
    weight_decay: Scalar | None = 0,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    *,
    params: Any = None,
) -> GradientTransformation:
    """Averaged gradient descent, as ``torch.optim.ASGD``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        p ← (1 - l ηₜ) p - ηₜ g               ηₜ = η / (1 + l η (t - 1))^α
        a ← a + (p - a) / max(1, t - 1 - t₀)

    :func:`gradtx.eval_params` finds a, the weights to evaluate with. As in PyTorch, ηₜ
    follows a schedule one step late.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      lambd: l, at least 0, the decay term.
      alpha: α, the power with which the rate falls.
      t0: t₀, the step at which to start averaging.
      weight_decay: λ, at least 0; 0 or None for no decay.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      differentiable: means nothing here.
      capturable: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Polyak and Juditsky, 1992, https://doi.org/10.1137/0330046

    Example:
      >>> tx, params = gradtx.like.torch.ASGD(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.02  0.01]
    """
    refuse(params=params, foreach=foreach)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr, lambd=lambd, weight_decay=weight_decay)
    checks.finite(alpha=alpha, t0=t0)

    def rule(
        g: jax.Array, a: jax.Array, *, t: Count, p: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        rate = value_at(lr, jnp.maximum(t - 2, 0))
        rate = rate / (1 + lambd * rate * (t - 1)) ** alpha
        u = -rate * (lambd * p + g)
        steps = jnp.maximum(1, t - 1 - t0)
        return u, jnp.where(steps == 1, p + u, a + (p + u - a) / steps)

    step = leafwise(rule, AsgdState, ax=weights)
    return chain(prepared(maximize, weight_decay), step)
