"""Adafactor as in PyTorch."""

from typing import Any

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.factored import factored_step
from gradtx.like.shrink import shrink
from gradtx.like.torch.gradient import prepared
from gradtx.wrappers.chain import chain


@foreign_signature("weight_decay")
def Adafactor(  # noqa: N802
    lr: ScalarOrSchedule = 1e-2,
    beta2_decay: Scalar = -0.8,
    eps: tuple[Scalar | None, Scalar] = (None, 1e-3),
    d: Scalar = 1.0,
    weight_decay: Scalar | None = 0.0,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    params: Any = None,
) -> GradientTransformation:
    """Adafactor, as ``torch.optim.Adafactor``.

        β = 1 - t^c
        R ← β R + (1 - β) mean(g², over the last axis),   C over the last but one
        V = R C / max(mean(R), ε₁)                 V ← β V + (1 - β) g² in vectors
        u = g / √max(V, ε₁²)
        α = max(ε₂, rms(p)) min(η, 1 / √t)
        p ← (1 - η λ) p - α u / max(1, rms(u) / d)

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken; the largest
        relative step.
      beta2_decay: c, below 0.
      eps: (ε₁, ε₂), at least 0; ε₁ is the precision of the parameter's type if None.
      d: above 0, where the root mean square of u is clipped.
      weight_decay: λ, at least 0, beside the step.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235

    Example:
      >>> tx, params = gradtx.like.torch.Adafactor(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.01  0.01]
    """
    refuse(params=params, foreach=foreach)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    least, least_scale = eps
    step = factored_step(
        lr, beta2_decay, d, added=0.0, least=least, least_scale=least_scale
    )
    decay = [] if weight_decay is None else [shrink(lr, weight_decay)]
    return chain(prepared(maximize, None), step, *decay)
