"""SparseAdam as in PyTorch."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    one_minus_power,
    safe_divide,
    sqrt,
)
from gradtx.common.types import Count, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.wrappers.chain import chain, descend


@foreign_signature()
def SparseAdam(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    maximize: bool = False,
    *,
    params: Any = None,
) -> GradientTransformation:
    """Adam of the rows that have a gradient, as ``torch.optim.SparseAdam``.

        m ← β₁ m + (1 - β₁) g,    v ← β₂ v + (1 - β₂) g²
        p ← p - η m √(1 - β₂ᵗ) / (1 - β₁ᵗ) / (√v + ε)

    in those rows only: elsewhere m, v and p stay, though t counts all steps. PyTorch
    wants a sparse gradient, which names its rows. Here a row, an index of the leaf's
    first axis, has a gradient if one of its entries is not 0.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      betas: (β₁, β₂), each in [0, 1).
      eps: ε, at least 0, added to the raw root.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range; for an argument that means
        nothing here.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980 (section 2, end)

    Example:
      >>> tx, params = gradtx.like.torch.SparseAdam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.001  0.001]
    """
    refuse(params=params)
    checks.non_negative(lr=lr, eps=eps)
    b1, b2 = betas
    checks.decay_rates(b1=b1, b2=b2)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        rest = tuple(range(1, g.ndim))
        seen = jnp.any(g != 0, axis=rest, keepdims=True) if rest else g != 0
        m = jnp.where(seen, ema(m, g, b1), m)
        v = jnp.where(seen, ema(v, abs_sq(g), b2), v)
        root = sqrt(one_minus_power(b2, t, v.dtype))
        u = root * safe_divide(debias(m, b1, t), sqrt(v) + eps)
        return jnp.where(seen, u, 0), m, v

    direction = leafwise(
        rule, ScaleByAdamState, elementwise=False, mu=zeros, nu=squares
    )
    return descend(chain(prepared(maximize, None), direction), lr)
