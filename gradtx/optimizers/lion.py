"""Lion: step by the sign of the momentum."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.directions import sign
from gradtx.common.numerics import ema
from gradtx.common.types import (
    Count,
    DTypeLike,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.wrappers.chain import descend


class ScaleByLionState(NamedTuple):
    """What :func:`sign_momentum` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients


@transformation
def sign_momentum(
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    mu_dtype: DTypeLike | None = None,
    *,
    mode: str = "hard",
    smooth_beta: Scalar = 1.0,
) -> GradientTransformation:
    """Take the sign of a mean that weighs the newest gradient more than it remembers.

        u = sign(β₁ m + (1 - β₁) g)
        m ← β₂ m + (1 - β₂) g

    Every entry of the update is -1, 0 or 1; of a complex one, both parts are. Known as
    ``scale_by_lion`` too.

    Args:
      b1: β₁, the weight of the mean against the new gradient in the update.
      b2: β₂, how much of the mean is kept at each step.
      mu_dtype: the type to keep m in; the parameter's if None.
      mode: ``"hard"``, the sign; ``"smooth"``, tanh(smooth_beta · c) of the mix c; or
        ``"refined"``, c itself, cut off at -1 and 1.
      smooth_beta: how steep the smooth mode is.

    Raises:
      ValueError: if a decay is outside [0, 1), or for another mode.

    Reference: Chen et al., 2023, https://arxiv.org/abs/2302.06675 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_lion(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    squash = _squashing(mode, smooth_beta)

    def rule(g: jax.Array, m: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        del t  # counted for the sake of whoever reads the state
        return squash(ema(m, g, b1)), ema(m, g, b2)

    return leafwise(rule, ScaleByLionState, mu=partial(zeros, dtype=mu_dtype))


scale_by_lion = sign_momentum


def _squashing(mode: str, beta: Scalar) -> Callable[[jax.Array], jax.Array]:
    if mode == "hard":
        return sign
    if mode == "smooth":
        return lambda c: jnp.tanh(beta * c)
    if mode == "refined":
        return lambda c: jnp.clip(c, -1, 1)
    raise checks.InvalidArgument(
        f'mode must be "hard", "smooth" or "refined", got {mode!r}'
    )


@transformation
def lion(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: MaskOrFn | None = None,
    *,
    decay_kind: str = "decoupled",
    peak_learning_rate: Scalar | None = None,
) -> GradientTransformation:
    """Lion: :func:`sign_momentum` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    As every entry of u has size 1, Lion wants a learning rate 3 to 10 times smaller and
    a weight decay as much larger than AdamW.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), the weight of the mean against the new gradient in the update.
      b2: β₂ in [0, 1), how much of the mean is kept at each step.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      decay_kind: "decoupled", "cautious", "corrected" or "independent", as
        :func:`gradtx.add_decayed_weights` tells them apart.
      peak_learning_rate: the largest value of the schedule η, above 0, for the last two
        kinds; η itself, if None and η is a number.

    Reference: Chen et al., 2023, https://arxiv.org/abs/2302.06675 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.lion(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = sign_momentum(b1, b2, mu_dtype)
    return descend(
        direction,
        learning_rate,
        weight_decay=weight_decay,
        mask=mask,
        decay_kind=decay_kind,
        peak_learning_rate=peak_learning_rate,
    )
