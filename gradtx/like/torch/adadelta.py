"""Adadelta as in PyTorch."""

from typing import Any

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.optimizers.adadelta import scale_by_adadelta
from gradtx.wrappers.chain import chain, descend
from gradtx.wrappers.split_complex import split_real_and_imaginary


@foreign_signature("weight_decay")
def Adadelta(  # noqa: N802
    lr: ScalarOrSchedule = 1.0,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: Scalar | None = 0,
    foreach: bool | None = None,
    *,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
    params: Any = None,
) -> GradientTransformation:
    """Adadelta, as ``torch.optim.Adadelta``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        G ← ρ G + (1 - ρ) g²
        u = g √(X + ε) / √(G + ε)
        X ← ρ X + (1 - ρ) u²
        p ← p - η u

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      rho: ρ, in [0, 1): how much of the mean squares is kept at each step.
      eps: ε, at least 0, inside of the roots.
      weight_decay: λ, at least 0; 0 or None for no decay.
      foreach: means nothing here.
      capturable: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      differentiable: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Zeiler, 2012, https://arxiv.org/abs/1212.5701

    Example:
      >>> tx, params = gradtx.like.torch.Adadelta(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.003  0.003]
    """
    refuse(params=params, foreach=foreach)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    direction = split_real_and_imaginary(scale_by_adadelta(rho, eps))
    return descend(chain(prepared(maximize, weight_decay), direction), lr)
