"""Time programs in turn, so that a busy moment of the machine hits them all alike."""

import gc
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Contestant = Callable[[int], None]
"""Makes so many steps and returns when the last one is done."""

SHORTEST = 0.02  # seconds; in a shorter turn one interruption would count for much


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Return the quartiles of repeated measurements."""
    low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
    return low, middle, high


def in_turn(
    contestants: dict[str, Contestant], repeats: int, period: int = 1
) -> dict[str, np.ndarray]:
    """Return the seconds per step of every contestant, in every round.

    In each round all have one turn, in a new random order. A turn is as many steps as
    last 20 ms, a multiple of ``period``. Two turns before the first round do not count.

    Args:
      contestants: by name.
      repeats: how many rounds.
      period: after how many steps a contestant has done all that it does.
    """
    warm = [_turn(run, period) for _ in range(2) for run in contestants.values()]
    slowest = max(warm[len(contestants) :]) * period
    steps = period * max(1, math.ceil(SHORTEST / slowest))
    rng = np.random.default_rng(0)
    seconds = {name: np.empty(repeats) for name in contestants}
    gc.collect()
    gc.disable()
    try:
        for turn in range(repeats):
            for name in rng.permutation(list(contestants)).tolist():
                seconds[name][turn] = _turn(contestants[name], steps)
    finally:
        gc.enable()
    return seconds


def _turn(run: Contestant, steps: int) -> float:
    begun = time.perf_counter()
    run(steps)
    return (time.perf_counter() - begun) / steps


class Stages(NamedTuple):
    """A compiled program, the traced one, and the seconds that each stage took."""

    compiled: Any
    traced: Any
    trace: float
    lower: float
    compile: float
    processor: float
    """Seconds that all threads worked on compiling: more than a busy machine adds."""


def stages(jitted: Any, arguments: tuple[Any, ...], target: Any = None) -> Stages:
    """Trace, lower and compile from nothing, by the clock.

    Args:
      jitted: the function, jitted.
      arguments: what it is traced with.
      target: the device that it is compiled for, if not the one at hand.
    """
    jax.clear_caches()
    clock = [time.perf_counter()]
    traced = jitted.trace(*arguments)
    clock.append(time.perf_counter())
    with target.present() if target else nullcontext():
        lowered = traced.lower()
    clock.append(time.perf_counter())
    worked = time.process_time()
    compiled = lowered.compile(target.options or None if target else None)
    worked = time.process_time() - worked
    clock.append(time.perf_counter())
    trace, lower, compiling = (after - before for before, after in pairwise(clock))
    return Stages(compiled, traced, trace, lower, compiling, worked)


class Copy:
    """Reads an array and writes it back with the signs turned: 8 bytes per float32.

    In place, as an optimizer works: the yardstick of its bytes per second.
    """

    bytes_per_number, kernel = 8, "jit"

    def __init__(self, count: int) -> None:
        self._turn = jax.jit(jnp.negative, donate_argnums=0)
        self._array = jnp.ones(count, jnp.float32)

    def __call__(self, steps: int) -> None:
        """Turn the signs so many times."""
        for _ in range(steps):
            self._array = self._turn(self._array)
        self._array.block_until_ready()
