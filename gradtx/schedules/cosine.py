"""Cosine decay."""

import jax

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, cosine, number, powered
from gradtx.schedules.steps import share
from gradtx.schedules.value import schedule


@schedule
def cosine_decay_schedule(
    init_value: Scalar,
    decay_steps: Scalar,
    alpha: Scalar = 0.0,
    exponent: Scalar = 1.0,
) -> Schedule:
    """Decay along half a period of a cosine.

        s(t) = I (α + (1 - α) cᵖ)      c = ½ (1 + cos(π f)),  f = min(t / steps, 1)

    Args:
      init_value: I, the value at step 0.
      decay_steps: the number of steps of the decay, above 0; it need not be an integer.
      alpha: α, the end value as a share of I.
      exponent: p ≥ 0; above 1 the decay is faster at first.

    Raises:
      ValueError: if ``decay_steps`` is not positive, the exponent is negative, or a
        value is infinite or NaN.

    Reference: Loshchilov & Hutter, 2017, https://arxiv.org/abs/1608.03983 (Eq. 5)

    Example:
      >>> rate = gradtx.cosine_decay_schedule(0.1, 10)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.0]
    """
    checks.positive(decay_steps=decay_steps)
    checks.finite(init_value=init_value, alpha=alpha)
    checks.non_negative(exponent=exponent)

    return cosine_between(init_value, number(alpha) * init_value, decay_steps, exponent)


def cosine_between(
    start: Scalar, end: Scalar, steps: Scalar, exponent: Scalar
) -> Schedule:
    """Return the function that goes from one value to another like a cosine."""

    def value(count: Count) -> jax.Array:
        part = powered(cosine(share(count, 0, steps)), exponent)
        return blend(number(start), number(end), part)

    return value
