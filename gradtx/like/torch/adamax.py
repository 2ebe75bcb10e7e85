"""Adamax as in PyTorch."""

from typing import Any

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.optimizers.adamax import scale_by_adamax
from gradtx.wrappers.chain import chain, descend
from gradtx.wrappers.split_complex import split_real_and_imaginary


@foreign_signature("weight_decay")
def Adamax(  # noqa: N802
    lr: ScalarOrSchedule = 2e-3,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar | None = 0,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    params: Any = None,
) -> GradientTransformation:
    """Adamax, as ``torch.optim.Adamax``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        m ← β₁ m + (1 - β₁) g
        u ← max(β₂ u, |g| + ε)
        p ← p - η m / (1 - β₁ᵗ) / u

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      betas: (β₁, β₂), each in [0, 1).
      eps: ε, at least 0, added to the size of the gradient.
      weight_decay: λ, at least 0; 0 or None for no decay.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      differentiable: means nothing here.
      capturable: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.like.torch.Adamax(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.002  0.002]
    """
    refuse(params=params, foreach=foreach)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    b1, b2 = betas
    direction = split_real_and_imaginary(scale_by_adamax(b1, b2, eps))
    return descend(chain(prepared(maximize, weight_decay), direction), lr)
