"""Schedulers of PyTorch that go up and down."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import safe_divide
from gradtx.common.types import Count, Scalar, Schedule
from gradtx.schedules.blend import blend, cosine as bent, decayed, number
from gradtx.schedules.steps import Share, periods
from gradtx.schedules.value import schedule

MODES = ("triangular", "triangular2", "exp_range")
SCALES = ("cycle", "iterations")


@schedule
def CyclicLR(  # noqa: N802
    base_lr: Scalar,
    max_lr: Scalar,
    step_size_up: Scalar = 2000,
    step_size_down: Scalar | None = None,
    mode: str = "triangular",
    gamma: Scalar = 1.0,
    scale_fn: Callable[[Any], Any] | None = None,
    scale_mode: str = "cycle",
) -> Schedule:
    """Go up and down along lines, as PyTorch's ``CyclicLR``.

        s(t) = base + (max - base) · height · scale

    The height goes from 0 to 1 and back in each cycle. The scale is 1 ("triangular"),
    halves with each cycle ("triangular2"), or is γᵗ ("exp_range"). The momentum that
    PyTorch cycles against the rate is ``CyclicLR(max_momentum, base_momentum, ...)``.

    Args:
      base_lr: the rate at the ends of a cycle.
      max_lr: the rate at its height.
      step_size_up: how many steps it rises, above 0.
      step_size_down: how many it falls, above 0; as many if None.
      mode: "triangular", "triangular2" or "exp_range".
      gamma: γ, at least 0.
      scale_fn: the scale, a function of the cycle's number, from 1, or of the step; in
        place of the mode's.
      scale_mode: "cycle" or "iterations": what ``scale_fn`` is a function of.

    Raises:
      ValueError: if a number is outside of its range, or a word is not known.

    Reference: Smith, 2017, https://arxiv.org/abs/1506.01186

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.CyclicLR(0.01, 0.1, 5)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.01, 0.1, 0.01]
    """
    checks.finite(base_lr=base_lr, max_lr=max_lr)
    checks.positive(step_size_up=step_size_up, step_size_down=step_size_down)
    checks.non_negative(gamma=gamma)
    _known(MODES, mode=mode)
    _known(SCALES, scale_mode=scale_mode)
    rising = number(step_size_up)
    falling = rising if step_size_down is None else number(step_size_down)

    def value(count: Count) -> jax.Array:
        total = rising + falling
        whole = periods(count, 0, total, whole=True)
        into = periods(count, 0, 1, whole=False) - whole * total
        height = jnp.where(into <= rising, into / rising, (total - into) / falling)
        span = (number(max_lr) - number(base_lr)) * height
        if scale_fn is None:
            scale = _scale(mode, gamma, whole, count)
        else:
            scale = scale_fn(whole + 1 if scale_mode == "cycle" else count)
        return number(base_lr) + span * scale

    return value


def _scale(mode: str, gamma: Scalar, whole: Any, count: Count) -> Any:
    if mode == "exp_range":
        return decayed(gamma, periods(count, 0, 1, whole=False))
    return 0.5**whole if mode == "triangular2" else 1.0


@schedule
def OneCycleLR(  # noqa: N802
    max_lr: Scalar,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: Scalar = 0.3,
    anneal_strategy: str = "cos",
    *,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
    three_phase: bool = False,
) -> Schedule:
    """Rise to a peak and fall far below the start, as PyTorch's ``OneCycleLR``.

        from max / div to max     until step a = pct · total - 1
        from there to the end     until step total - 1

    where the end is max / div / final_div. With three phases the fall goes back to the
    start until step 2 a, and on to the end from there. After the last step the rate
    stays.

    Args:
      max_lr: the rate at the peak.
      total_steps: how many steps there are, a whole number of at least 1; their number
        is ``epochs * steps_per_epoch`` if None.
      epochs: a whole number of at least 1.
      steps_per_epoch: a whole number of at least 1.
      pct_start: the share of the steps in which it rises, in [0, 1].
      anneal_strategy: "cos", or "linear".
      div_factor: the peak as a multiple of the start, above 0.
      final_div_factor: the start as a multiple of the end, above 0.
      three_phase: whether it falls in two phases.

    Raises:
      ValueError: if a number is outside of its range, the number of steps is not given,
        or a word is not known.

    Reference: Smith and Topin, 2018, https://arxiv.org/abs/1708.07120

    Example:
      >>> rate = gradtx.like.torch.lr_scheduler.OneCycleLR(0.1, 11)
      >>> print([round(float(rate(t)), 4) for t in (0, 5, 10)])
      [0.004, 0.0726, 0.0]
    """
    checks.finite(max_lr=max_lr)
    checks.positive_int(
        total_steps=total_steps, epochs=epochs, steps_per_epoch=steps_per_epoch
    )
    checks.unit_interval(pct_start=pct_start)
    checks.positive(div_factor=div_factor, final_div_factor=final_div_factor)
    _known(("cos", "linear"), anneal_strategy=anneal_strategy)
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise checks.InvalidArgument(
                "give total_steps, or epochs and steps_per_epoch"
            )
        total_steps = epochs * steps_per_epoch
    peak, start = number(max_lr), number(max_lr) / number(div_factor)
    stops = [(0.0, start), (pct_start * total_steps - 1, peak)]
    if three_phase:
        stops.append((2 * pct_start * total_steps - 2, start))
    stops.append((total_steps - 1.0, start / number(final_div_factor)))
    return lambda count: _along(count, stops, cosine=anneal_strategy == "cos")


def _along(count: Count, stops: list[tuple[Any, Any]], *, cosine: bool) -> jax.Array:
    """Go from each (step, rate) to the next."""
    t = periods(count, 0, 1, whole=False)
    result = jnp.broadcast_to(stops[0][1], jnp.shape(count))
    for (begin, low), (end, high) in pairwise(stops):
        done = jnp.clip(safe_divide(t - begin, jnp.asarray(end - begin)), 0, 1)
        part = Share(done, 1 - done)
        here = blend(low, high, bent(part) if cosine else part)
        entered = (t > begin) | (begin == 0)
        result = jnp.where(entered, here, result)
    return result


def _known(words: tuple[str, ...], **given: str) -> None:
    for name, word in given.items():
        if word not in words:
            raise checks.InvalidArgument(f"{name} must be one of {words}, got {word!r}")
