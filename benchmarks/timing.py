"""Time programs in turn, so that a busy moment of the machine hits them all alike."""

import gc
import math
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np

Contestant = Callable[[int], None]
"""Makes so many steps and returns when the last one is done."""

SHORTEST = 0.02  # seconds; in a shorter turn one interruption would count for much
STAGES = ("trace s", "lower s", "compile s")


def in_turn(
    contestants: Mapping[str, Contestant], repeats: int, period: int = 1
) -> dict[str, np.ndarray]:
    """Return the seconds per step of every contestant, in every round.

    In each round all have one turn, in a new random order. A turn is as many steps as
    last 20 ms, a multiple of ``period``, after which a contestant has done all that it
    does. Two turns before the first round do not count.
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


class Step(NamedTuple):
    """A step as it was traced and compiled, and the seconds of each stage."""

    traced: Any
    compiled: Any
    seconds: dict[str, float]
    """Those of the processor count all threads: more than a busy machine adds."""


def compile_step(
    lib: Any, tx: Any, *trees: Any, jit: Any = jax.jit, target: Any = None, **extra: Any
) -> Step:
    """Trace, lower and compile a step of update and apply from nothing, by the clock.

    Of parameters and state, which are donated, of gradients, and of what ``update``
    wants besides: arrays, and functions.
    """
    functions = {name: value for name, value in extra.items() if callable(value)}
    arrays = {name: value for name, value in extra.items() if name not in functions}

    def step(params: Any, state: Any, grads: Any, **arrays: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params, **arrays, **functions)
        return lib.apply_updates(params, updates), state

    jax.clear_caches()
    clock = [time.perf_counter()]
    traced = jit(step, donate_argnums=(0, 1)).trace(*trees, **arrays)
    clock.append(time.perf_counter())
    # Kernels written for a device ask whether it is there.
    with jax.default_device(target and target.first):
        lowered = traced.lower()
    clock.append(time.perf_counter())
    worked = time.process_time()
    compiled = lowered.compile((target and target.options) or None)
    worked = time.process_time() - worked
    clock.append(time.perf_counter())
    spans = (after - before for before, after in pairwise(clock))
    seconds = {**dict(zip(STAGES, spans, strict=True)), "processor s": worked}
    return Step(traced, compiled, seconds)
