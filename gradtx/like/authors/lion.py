"""Lion as in its authors' repository."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, value_at
from gradtx.common.types import Scalar, ScalarOrSchedule, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.wrappers.chain import descend


class LionState(NamedTuple):
    """What :func:`Lion` remembers."""

    mu: Updates  # m, the mean of the gradients


@foreign_signature("weight_decay")
def Lion(  # noqa: N802
    lr: ScalarOrSchedule = 1e-4,
    betas: tuple[Scalar, Scalar] = (0.9, 0.99),
    weight_decay: Scalar | None = 0.0,
    use_triton: bool = False,
    decoupled_weight_decay: bool = False,
    *,
    params: Any = None,
) -> GradientTransformation:
    """Lion, as google/automl has it, and lion-pytorch with its two more arguments.

        p ← (1 - η λ) p - η sign(β₁ m + (1 - β₁) g)
        m ← β₂ m + (1 - β₂) g

    The sign of a complex number is z / |z|.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      betas: (β₁, β₂), each in [0, 1]: the weight of m against the new gradient in the
        step, and how much of m is kept.
      weight_decay: λ, at least 0; 0 or None for no decay.
      use_triton: means nothing here.
      decoupled_weight_decay: divide λ by the first learning rate, so that the decay
        does not change with it and follows the schedule only.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a beta is outside [0, 1] or another number negative; if λ is to be
        divided by a learning rate of 0; for an argument that means nothing here.

    Reference: Chen et al., 2023, https://arxiv.org/abs/2302.06675

    Example:
      >>> tx, params = gradtx.like.authors.Lion(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-0.0001  0.0001]
    """
    refuse(params=params, use_triton=use_triton)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    b1, b2 = betas
    checks.unit_interval(b1=b1, b2=b2)

    def rule(g: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.sign(ema(m, g, b1)), ema(m, g, b2)

    decay = weight_decay
    if decoupled_weight_decay and weight_decay is not None:
        decay = weight_decay / _first(lr)
    return descend(leafwise(rule, LionState, mu=zeros), lr, weight_decay=decay)


def _first(lr: ScalarOrSchedule) -> Any:
    first = value_at(lr, 0)
    try:
        checks.positive(lr=first)
    except checks.InvalidArgument as error:
        raise checks.InvalidArgument(
            "decoupled_weight_decay divides by the first learning rate, which is 0: "
            "begin the schedule above 0, or divide weight_decay by the peak yourself"
        ) from error
    return first
