"""NAdam as in PyTorch."""

from typing import Any

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.nadam_rule import scale_by_rising_nadam
from gradtx.like.torch.gradient import descended
from gradtx.wrappers.split_complex import split_real_and_imaginary


@foreign_signature("weight_decay")
def NAdam(  # noqa: N802
    lr: ScalarOrSchedule = 2e-3,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar | None = 0,
    momentum_decay: Scalar = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
    params: Any = None,
) -> GradientTransformation:
    """NAdam, as ``torch.optim.NAdam``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        m ← β₁ m + (1 - β₁) g,    v ← β₂ v + (1 - β₂) g²
        μₜ = β₁ (1 - ½ 0.96^(t ψ)),    Πₜ = μ₁ ⋯ μₜ
        m̂ = μₜ₊₁ m / (1 - Πₜ₊₁) + (1 - μₜ) g / (1 - Πₜ)
        p ← p - η m̂ / (√(v / (1 - β₂ᵗ)) + ε)

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      betas: (β₁, β₂), each in [0, 1).
      eps: ε, at least 0, outside of the root.
      weight_decay: λ, at least 0; 0 or None for no decay.
      momentum_decay: ψ, at least 0: how fast μₜ rises to β₁.
      decoupled_weight_decay: whether p ← (1 - η λ) p stands beside the step in place of
        the penalty.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      capturable: means nothing here.
      differentiable: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Example:
      >>> tx, params = gradtx.like.torch.NAdam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.002  0.002]
    """
    refuse(params=params, foreach=foreach)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    b1, b2 = betas
    direction = scale_by_rising_nadam(b1, b2, eps, momentum_decay)
    return descended(
        split_real_and_imaginary(direction),
        lr,
        weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )
