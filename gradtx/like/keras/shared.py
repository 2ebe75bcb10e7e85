"""The frame around every one of Keras's methods."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import value_at
from gradtx.common.types import Count, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import refuse
from gradtx.like.keras.accumulate import accumulated, at_steps
from gradtx.like.keras.average import averaged
from gradtx.like.keras.clip import clipped
from gradtx.wrappers.chain import chain

# The shared arguments that Keras takes for "off" where they are 0.
OFF_AT_ZERO = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
)


class ShrinkState(NamedTuple):
    """What Keras's weight decay remembers."""

    count: Count


def framed(
    method: Callable[[ScalarOrSchedule], GradientTransformation],
    learning_rate: ScalarOrSchedule,
    *,
    weight_decay: Scalar | None,
    clipnorm: Scalar | None,
    clipvalue: Scalar | None,
    global_clipnorm: Scalar | None,
    use_ema: bool,
    ema_momentum: Scalar,
    ema_overwrite_frequency: int | None,
    loss_scale_factor: Any,
    gradient_accumulation_steps: int | None,
) -> GradientTransformation:
    """Do what Keras does before and after every method's step.

    Args:
      method: makes the transformation to the step itself, downhill, of a rate.
      learning_rate: η, or a schedule of calls.
      weight_decay: as in the docstring of :mod:`gradtx.like.keras`; so the others.
      clipnorm: the bound of each leaf's norm.
      clipvalue: the bound of each entry.
      global_clipnorm: the bound of the norm of all leaves.
      use_ema: whether to average the parameters.
      ema_momentum: how much of the average is kept.
      ema_overwrite_frequency: how often it takes the parameters' place.
      loss_scale_factor: refused.
      gradient_accumulation_steps: how many calls make a step.

    Raises:
      ValueError: if a setting is out of its range.
    """
    refuse(loss_scale_factor=loss_scale_factor)
    checks.finite(learning_rate=learning_rate)
    calls = 1 if gradient_accumulation_steps is None else gradient_accumulation_steps
    rate = at_steps(learning_rate, calls)
    parts = [clipped(clipnorm, clipvalue, global_clipnorm), method(rate)]
    if weight_decay is not None:
        parts.append(shrink(rate, weight_decay))
    tx = chain(*parts)
    if gradient_accumulation_steps is not None:
        tx = accumulated(tx, gradient_accumulation_steps)
    if use_ema:
        tx = chain(tx, averaged(ema_momentum, ema_overwrite_frequency, calls))
    return tx


def shrink(rate: ScalarOrSchedule, weight_decay: Scalar) -> GradientTransformation:
    """Add -η λ p to the step, which the methods of Keras do not look at."""
    checks.finite(weight_decay=weight_decay)

    def rule(u: jax.Array, *, t: Count, p: jax.Array) -> jax.Array:
        return u - value_at(rate, t - 1) * weight_decay * p

    return leafwise(rule, ShrinkState)
