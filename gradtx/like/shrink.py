"""Weight decay that a method does not look at."""

from typing import NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import value_at
from gradtx.common.types import Count, Scalar, ScalarOrSchedule
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import GradientTransformation


class ShrinkState(NamedTuple):
    """What weight decay beside a method remembers."""

    count: Count


def shrink(rate: ScalarOrSchedule, weight_decay: Scalar) -> GradientTransformation:
    """Add -η λ p to the step.

    Args:
      rate: η, or a schedule of steps.
      weight_decay: λ.
    """
    checks.finite(weight_decay=weight_decay)

    def rule(u: jax.Array, *, t: Count, p: jax.Array) -> jax.Array:
        return u - value_at(rate, t - 1) * weight_decay * p

    return leafwise(rule, ShrinkState)
