"""Rprop as in PyTorch."""

from typing import Any

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import value_at
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.optimizers.rprop import scale_by_rprop
from gradtx.primitives.scale import scale
from gradtx.wrappers.chain import chain
from gradtx.wrappers.split_complex import split_real_and_imaginary


@foreign_signature()
def Rprop(  # noqa: N802
    lr: ScalarOrSchedule = 1e-2,
    etas: tuple[Scalar, Scalar] = (0.5, 1.2),
    step_sizes: tuple[Scalar, Scalar] = (1e-6, 50),
    *,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    params: Any = None,
) -> GradientTransformation:
    """Rprop, as ``torch.optim.Rprop``: the sign of the gradient, with steps of its own.

        g gₗₐₛₜ > 0:   Δ ← η₊ Δ,   p ← p - Δ sign(g)
        g gₗₐₛₜ < 0:   Δ ← η₋ Δ,   p stays, and gₗₐₛₜ counts as 0 next time
        g gₗₐₛₜ = 0:   p ← p - Δ sign(g)

    where Δ is kept within its bounds.

    Args:
      lr: what every Δ starts from, at least 0; of a schedule the value at step 0.
      etas: (η₋, η₊), in [0, 1] and at least 1.
      step_sizes: the smallest and the largest Δ, at least 0.
      capturable: means nothing here.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      differentiable: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Riedmiller and Braun, 1993, https://doi.org/10.1109/ICNN.1993.298623

    Example:
      >>> tx, params = gradtx.like.torch.Rprop(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.01  0.01]
    """
    refuse(params=params, foreach=foreach)
    refuse(capturable=capturable, differentiable=differentiable)
    checks.non_negative(lr=lr)

    def first(count: Any) -> Any:
        return jnp.clip(value_at(lr, count), *step_sizes)

    direction = split_real_and_imaginary(scale_by_rprop(first, *etas, *step_sizes))
    return chain(prepared(maximize, None), direction, scale(-1.0))
