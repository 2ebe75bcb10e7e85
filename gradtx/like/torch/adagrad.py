"""Adagrad as in PyTorch."""

from functools import partial
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, safe_divide, sqrt, value_at
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.gradient import prepared
from gradtx.optimizers.adagrad import ScaleByRssState
from gradtx.wrappers.chain import chain, descend
from gradtx.wrappers.split_complex import split_real_and_imaginary


@foreign_signature("lr_decay", "weight_decay")
def Adagrad(  # noqa: N802
    lr: ScalarOrSchedule = 1e-2,
    lr_decay: Scalar | None = 0,
    weight_decay: Scalar | None = 0,
    initial_accumulator_value: Scalar = 0,
    eps: Scalar = 1e-10,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    params: Any = None,
) -> GradientTransformation:
    """Adagrad, as ``torch.optim.Adagrad``.

        g ← g + λ p                           λ: weight_decay, an L2 penalty
        G ← G + g²
        p ← p - η / (1 + (t - 1) δ) · g / (√G + ε)

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      lr_decay: δ, at least 0: how fast the rate falls; 0 or None keeps it.
      weight_decay: λ, at least 0; 0 or None for no decay.
      initial_accumulator_value: what every entry of G starts from, at least 0.
      eps: ε, at least 0, outside of the root.
      foreach: means nothing here.
      maximize: whether to go uphill: the gradient changes its sign before all else.
      differentiable: means nothing here.
      fused: means nothing here.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is negative; for an argument that means nothing here.

    Reference: Duchi et al., 2011, https://jmlr.org/papers/v12/duchi11a.html

    Example:
      >>> tx, params = gradtx.like.torch.Adagrad(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.01  0.01]
    """
    refuse(params=params, foreach=foreach, fused=fused, differentiable=differentiable)
    checks.non_negative(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
    checks.non_negative(initial_accumulator_value=initial_accumulator_value)

    def rule(g: jax.Array, total: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = total + abs_sq(g)
        return safe_divide(g, sqrt(total) + eps), total

    start = partial(squares, fill=initial_accumulator_value)
    direction = leafwise(rule, ScaleByRssState, sum_of_squares=start)
    direction = chain(
        prepared(maximize, weight_decay), split_real_and_imaginary(direction)
    )
    return descend(direction, _decaying(lr, lr_decay))


def _decaying(lr: ScalarOrSchedule, lr_decay: Scalar | None) -> ScalarOrSchedule:
    if lr_decay is None:
        return lr
    return lambda count: value_at(lr, count) / (1 + count * lr_decay)
