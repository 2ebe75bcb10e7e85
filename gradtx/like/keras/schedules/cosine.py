"""Schedules of Keras that follow a cosine."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, cosine, decayed, number
from gradtx.schedules.join import join_schedules
from gradtx.schedules.polynomial import linear_schedule
from gradtx.schedules.steps import Share, periods, share
from gradtx.schedules.value import schedule


@schedule
def CosineDecay(  # noqa: N802
    initial_learning_rate: Scalar,
    decay_steps: Scalar,
    alpha: Scalar = 0.0,
    name: str = "CosineDecay",
    warmup_target: Scalar | None = None,
    warmup_steps: Scalar = 0,
) -> Schedule:
    """Fall along half a period of a cosine, as Keras's ``CosineDecay``.

        s(t) = η (α + (1 - α) ½ (1 + cos(π min(t / T, 1))))

    With a target the rate first rises to it along a line; then it falls from there for
    T more steps.

    Args:
      initial_learning_rate: η, the rate at first.
      decay_steps: T, above 0, the steps of the fall.
      alpha: α, the rate in the end as a share of the highest.
      name: does nothing.
      warmup_target: the rate after the warm-up; None for no warm-up.
      warmup_steps: how many steps it rises, at least 0.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983

    Example:
      >>> rate = gradtx.like.keras.schedules.CosineDecay(0.1, 10)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.05, 0.0]
    """
    del name
    checks.finite(
        initial_learning_rate=initial_learning_rate,
        alpha=alpha,
        warmup_target=warmup_target,
    )
    checks.positive(decay_steps=decay_steps)
    checks.non_negative(warmup_steps=warmup_steps)
    peak = initial_learning_rate if warmup_target is None else warmup_target

    def fall(count: Count) -> jax.Array:
        part = cosine(share(count, 0, decay_steps))
        return blend(number(peak), number(peak) * number(alpha), part)

    if warmup_target is None:
        return fall
    rise = linear_schedule(initial_learning_rate, warmup_target, warmup_steps)
    return join_schedules([rise, fall], [warmup_steps])


@schedule
def CosineDecayRestarts(  # noqa: N802
    initial_learning_rate: Scalar,
    first_decay_steps: Scalar,
    t_mul: Scalar = 2.0,
    m_mul: Scalar = 1.0,
    alpha: Scalar = 0.0,
    name: str = "SGDRDecay",
) -> Schedule:
    """Fall along a cosine again and again, as Keras's ``CosineDecayRestarts``.

        s(t) = η (α + (1 - α) mⁱ ½ (1 + cos(π f)))

    where f is the share of cycle i that is done; cycle 0 has T steps, and each has
    ``t_mul`` times as many as that before.

    Args:
      initial_learning_rate: η, the rate at first.
      first_decay_steps: T, above 0.
      t_mul: how much longer each cycle is than that before, at least 1.
      m_mul: m, at least 0, how much lower each cycle starts.
      alpha: α, the rate at the end of a cycle as a share of η.
      name: does nothing.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983

    Example:
      >>> rate = gradtx.like.keras.schedules.CosineDecayRestarts(0.1, 5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.1, 0.1, 0.05]
    """
    del name
    checks.finite(initial_learning_rate=initial_learning_rate, alpha=alpha)
    checks.positive(first_decay_steps=first_decay_steps)
    checks.at_least(1, t_mul=t_mul)
    checks.non_negative(m_mul=m_mul)

    def value(count: Count) -> jax.Array:
        cycle, done = _cycle(periods(count, 0, first_decay_steps, whole=False), t_mul)
        height = decayed(m_mul, cycle) * cosine(Share(done, 1 - done)).left
        return number(initial_learning_rate) * (alpha + (1 - alpha) * height)

    return value


def _cycle(time: jax.Array, factor: Scalar) -> tuple[jax.Array, jax.Array]:
    """Return the number of the cycle, and its share done, after some first cycles.

    Where the cycles grow, n of them take (fⁿ - 1) / (f - 1).
    """
    f = jnp.asarray(number(factor))
    grows = f > 1
    base = jnp.where(grows, f, 2.0)
    guess = jnp.floor(jnp.log1p(time * (base - 1)) / jnp.log(base))

    def begin(n: jax.Array) -> jax.Array:
        return (base**n - 1) / (base - 1)

    # The logarithm may be off by its last bits where a cycle begins.
    n = guess + (time >= begin(guess + 1)) - (time < begin(guess))
    grown = (time - begin(n)) / base**n
    whole = jnp.floor(time)
    return jnp.where(grows, n, whole), jnp.where(grows, grown, time - whole)
