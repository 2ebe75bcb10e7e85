"""Adam and AdamW as in PyTorch."""

from typing import Any

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.adam_rule import scale_by_raw_adam
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import descended
from gradtx.wrappers.split_complex import split_real_and_imaginary


@foreign_signature("weight_decay")
def Adam(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar | None = 0,
    amsgrad: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    decoupled_weight_decay: bool = False,
    params: Any = None,
) -> GradientTransformation:
    """Adam, as ``torch.optim.Adam``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        p ← p - η m̂ / (√v̂ + ε)                with m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    With ``amsgrad`` v̂ is w / (1 - β₂ᵗ), where w ← max(w, v): the largest of the raw
    moments, corrected afterwards.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      betas: (β₁, β₂), each in [0, 1): how much of m and of v is kept at each step.
      eps: ε, at least 0, outside of the root.
      weight_decay: λ, at least 0; 0 or None for no decay.
      amsgrad: whether the divisor may only grow.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      capturable: means nothing here.
      differentiable: means nothing here.
      fused: means nothing here.
      decoupled_weight_decay: take λ out of the gradient, as :func:`AdamW` does.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a beta is outside [0, 1) or another number negative; for an
        argument that means nothing here.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980

    Example:
      >>> tx, params = gradtx.like.torch.Adam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    refuse(params=params, foreach=foreach, fused=fused)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr, eps=eps, weight_decay=weight_decay)
    b1, b2 = betas
    direction = split_real_and_imaginary(scale_by_raw_adam(b1, b2, eps, amsgrad))
    return descended(
        direction,
        lr,
        weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


@foreign_signature("weight_decay")
def AdamW(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar | None = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    params: Any = None,
) -> GradientTransformation:
    """AdamW, as ``torch.optim.AdamW``: :func:`Adam` with decay beside the gradient.

        p ← (1 - η λ) p - η m̂ / (√v̂ + ε)

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken; the decay follows
        it.
      betas: (β₁, β₂), each in [0, 1): how much of m and of v is kept at each step.
      eps: ε, at least 0, outside of the root.
      weight_decay: λ, at least 0; 0 or None for no decay.
      amsgrad: whether the divisor may only grow.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      foreach: means nothing here.
      capturable: means nothing here.
      differentiable: means nothing here.
      fused: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: as :func:`Adam`.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101

    Example:
      >>> tx, params = gradtx.like.torch.AdamW(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    refuse(capturable=capturable, differentiable=differentiable)
    return Adam(
        lr,
        betas,
        eps,
        weight_decay,
        amsgrad,
        foreach=foreach,
        maximize=maximize,
        fused=fused,
        decoupled_weight_decay=True,
        params=params,
    )
