"""SGD as in PyTorch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import Count, Params, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, identity
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.primitives.momentum import trace
from gradtx.wrappers.chain import chain, descend


class DampenedTraceState(NamedTuple):
    """What the momentum of :func:`SGD` remembers when it is dampened."""

    count: Count
    trace: Params  # b, the decaying sum of the gradients


@foreign_signature("momentum", "dampening", "weight_decay")
def SGD(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    momentum: Scalar | None = 0,
    dampening: Scalar | None = 0,
    weight_decay: Scalar | None = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    fused: bool | None = None,
    params: Any = None,
) -> GradientTransformation:
    """Gradient descent with momentum, as ``torch.optim.SGD``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        b ← μ b + (1 - τ) g                   at the first step b = g
        p ← p - η b                           or, with Nesterov, p - η (g + μ b)

    The learning rate stays outside of b: a new one rescales the whole history. The
    dampening does not touch the first step. With ``momentum=0`` there is no b, and the
    dampening has no effect.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      momentum: μ, in [0, 1]: how much of b is kept; 0 or None for no momentum.
      dampening: τ, a finite number: the part of g that b leaves out; 0 or None for
        none.
      weight_decay: λ, at least 0, in the gradient and so in the momentum; 0 or None for
        no decay.
      nesterov: whether to look ahead, which needs momentum and no dampening.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      foreach: means nothing here.
      differentiable: means nothing here.
      fused: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is negative; for Nesterov without momentum or with
        dampening; for an argument that means nothing here.

    Example:
      >>> tx, params = gradtx.like.torch.SGD(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.002  0.001]
    """
    refuse(params=params, foreach=foreach, fused=fused, differentiable=differentiable)
    checks.non_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
    checks.finite(dampening=dampening)
    if nesterov and (momentum is None or dampening is not None):
        raise checks.InvalidArgument(
            "nesterov needs momentum above 0 and no dampening, got "
            f"momentum={momentum or 0}, dampening={dampening or 0}"
        )
    if momentum is None:
        velocity = identity()
    elif dampening is None:
        velocity = trace(momentum, nesterov)
    else:
        velocity = _dampened_trace(momentum, dampening)
    return descend(chain(prepared(maximize, weight_decay), velocity), lr)


def _dampened_trace(momentum: Scalar, dampening: Scalar) -> GradientTransformation:
    def rule(g: jax.Array, b: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        b = jnp.where(t == 1, g, momentum * b + numerics.one_minus(dampening) * g)
        return jnp.where(momentum == 0, g, b), b

    return leafwise(rule, DampenedTraceState, trace=zeros)
