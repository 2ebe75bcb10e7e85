"""RMSprop as in PyTorch."""

from typing import Any

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, identity
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.optimizers.rmsprop import scale_by_rms, scale_by_stddev
from gradtx.primitives.momentum import trace
from gradtx.wrappers.chain import chain, descend
from gradtx.wrappers.split_complex import split_real_and_imaginary


@foreign_signature("weight_decay", "momentum")
def RMSprop(  # noqa: N802
    lr: ScalarOrSchedule = 1e-2,
    alpha: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: Scalar | None = 0,
    momentum: Scalar | None = 0,
    centered: bool = False,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    *,
    params: Any = None,
) -> GradientTransformation:
    """RMSprop, as ``torch.optim.RMSprop``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        v ← α v + (1 - α) g²
        m ← α m + (1 - α) g                   centered only
        b ← μ b + g / (√v + ε)                or, centered, √(v - m²) + ε
        p ← p - η b

    The learning rate stands outside of the momentum, and ε outside of the root. Where
    rounding makes v - m² negative, on which PyTorch returns NaN, it counts as 0.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      alpha: α, in [0, 1): how much of the means is kept at each step.
      eps: ε, at least 0, outside of the root.
      weight_decay: λ, at least 0; 0 or None for no decay.
      momentum: μ, in [0, 1]: how much of b is kept; 0 or None for no momentum.
      centered: whether to divide by the standard deviation.
      capturable: means nothing here.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      differentiable: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Hinton, 2012, lecture 6e; Graves, 2013, https://arxiv.org/abs/1308.0850

    Example:
      >>> tx, params = gradtx.like.torch.RMSprop(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    refuse(params=params, foreach=foreach)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr, eps=eps, weight_decay=weight_decay)
    divide = scale_by_stddev if centered else scale_by_rms
    direction = chain(
        divide(alpha, eps, eps_in_sqrt=False),
        identity() if momentum is None else trace(momentum),
    )
    return descend(
        chain(prepared(maximize, weight_decay), split_real_and_imaginary(direction)), lr
    )
