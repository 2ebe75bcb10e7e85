"""What a step costs: bytes of state, and time of one jitted, donated step."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gradtx.compare.plan import tree_bytes
from gradtx.compare.protocol import Build
from gradtx.compare.stepping import train_step
from gradtx.compare.training import Trainer

ROUNDS = 15
STEPS_A_ROUND = 8
PATIENCE = 2.0
"""Seconds for each method after which no further round begins."""

Point = dict[str, Any]


def state_bytes(trainer: Trainer, tx: Any) -> float:
    """Give the bytes that the optimizer keeps for each parameter."""
    params, _, _ = trainer.first
    state = jax.eval_shape(tx.init, params)
    return tree_bytes(state) / sum(leaf.size for leaf in jax.tree.leaves(params))


def compile_step(trainer: Trainer, build: Build, point: Point) -> Callable:
    """Compile a whole training step: gradient, update, new parameters."""
    one = train_step(trainer.task)

    def step(point: Point, params: Any, state: Any, *rest: Any) -> tuple:
        return one(build(point), params, state, *rest)

    params, batch, key = trainer.first
    state = jax.eval_shape(build(point).init, params)
    jitted = jax.jit(step, donate_argnums=(1, 2))
    data = trainer.start.data
    return jitted.lower(_arrays(point), params, state, data, batch, key).compile()


def step_seconds(
    trainer: Trainer,
    steps: Sequence[Callable],
    builds: Sequence[Build],
    points: Sequence[Point],
) -> list[float]:
    """Time one step of each method, at the point that suits it.

    The methods take turns, so that a busy moment of the machine hits all alike; the
    median of the turns counts.
    """
    each = zip(steps, builds, points, strict=True)
    runners = [runner(trainer, *one, STEPS_A_ROUND) for one in each]
    patience = PATIENCE * len(runners)
    return np.median(in_turn(runners, ROUNDS, patience), axis=0).tolist()


def in_turn(
    runners: Sequence[Callable[[], float]], rounds: int, patience: float
) -> np.ndarray:
    """Let each runner tell its seconds, one after the other, round after round.

    No further round begins once ``patience`` seconds have passed.
    """
    begun, turns = time.perf_counter(), []
    while len(turns) < rounds:
        turns.append([run() for run in runners])
        if time.perf_counter() - begun > patience:
            break
    return np.array(turns)


def runner(
    trainer: Trainer, step: Callable, build: Build, point: Point, steps: int
) -> Callable[[], float]:
    """Give what takes so many further steps each time, and tells the seconds of one."""
    params, *rest = trainer.first
    rest, swept = [trainer.start.data, *rest], _arrays(point)
    state = build(point).init(params)
    held = [jax.block_until_ready(step(swept, params, state, *rest))]

    def run() -> float:
        params, state, loss = held[0]
        begun = time.perf_counter()
        for _ in range(steps):
            params, state, loss = step(swept, params, state, *rest)
        held[0] = jax.block_until_ready((params, state, loss))
        return (time.perf_counter() - begun) / steps

    return run


def _arrays(point: Point) -> Point:
    return {name: np.float32(value) for name, value in point.items()}
