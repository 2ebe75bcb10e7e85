"""Train one task in one format, all seeds in one compiled program."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from benchmarks.survival.formats import Kept
from benchmarks.trees import nbytes
from gradtx.compare.builtin.data import ALPHABET, text
from gradtx.compare.builtin.models import TextNetwork
from gradtx.compare.builtin.tasks import (
    Problem,
    classification,
    digits_problem,
    text_problem,
)
from gradtx.compare.stepping import loss_of
from gradtx.compare.task import Start


class Study(NamedTuple):
    """A task, and the highest learning rate that it is trained with."""

    problem: Problem
    rate: float


class Result(NamedTuple):
    """What came of one format."""

    losses: np.ndarray
    """Of every batch, (seeds, steps)."""
    validation: np.ndarray
    """At the end, of each seed."""
    weight_bytes: float
    """Per parameter."""
    state_bytes: float


def digits() -> Study:
    """Give the digits of the comparison."""
    return Study(digits_problem(), 0.005)


def characters() -> Study:
    """Give the text of the comparison."""
    return Study(text_problem(), 0.005)


def gpt() -> Study:
    """Give a larger transformer: 10 M parameters on an accelerator, 0.8 M without."""
    small = jax.default_backend() == "cpu"
    width, blocks, batch_size = (128, 4, 16) if small else (320, 8, 64)
    size = "0.8 M" if small else "10 M"
    task = classification(
        f"Python source text, transformer of {size} parameters",
        TextNetwork(len(ALPHABET), width, blocks, heads=4),
        text(context=32 if small else 128, limit=400_000),
        batch_size,
    )
    steps = 300 if small else 1000
    return Study(Problem("gpt", task, steps, seeds=3, rates=1), 0.002)


STUDIES: dict[str, Callable[[], Study]] = {
    "digits": digits,
    "text": characters,
    "gpt": gpt,
}


def train(study: Study, begin: Start, kept: Kept) -> Result:
    """Train every seed, then judge the weights.

    The rate rises for a tenth of the steps and falls to nothing along a cosine, so that
    the last steps are small ones: those that few bits lose.
    """
    problem, task = study.problem, study.problem.task
    rate = gradtx.warmup_cosine_decay_schedule(
        0.0, study.rate, problem.steps // 10, problem.steps
    )
    tx = kept.build(rate)
    params = jax.tree.map(lambda p: p.astype(kept.weights), begin.params)
    count = sum(x[0].size for x in jax.tree.leaves(params))
    state = jax.jit(jax.vmap(tx.init))(params)

    drawn = loss_of(task, begin.data)

    def wide_loss(params: Any, rows: jax.Array) -> jax.Array:
        return drawn(_wide(params), rows, None)

    def advance(params: Any, state: Any, batches: jax.Array) -> Any:
        def step(carry: Any, rows: jax.Array) -> Any:
            params, state = carry
            loss, grads = jax.value_and_grad(wide_loss)(params, rows)
            updates, state = tx.update(grads, state, params)
            return (gradtx.apply_updates(params, updates), state), loss

        (params, _), losses = jax.lax.scan(step, (params, state), batches)
        return losses, task.evaluate(_wide(params))["loss"]

    # One seed after the other: each alone fills the machine.
    program = jax.jit(lambda *each: jax.lax.map(lambda one: advance(*one), each))
    losses, validation = program(params, state, begin.batches)
    seeds = problem.seeds * count
    return Result(
        np.asarray(losses, np.float64),
        np.asarray(validation, np.float64),
        nbytes(params) / seeds,
        nbytes(state) / seeds,
    )


def _wide(params: Any) -> Any:
    """Return weights in float32, whatever type they are kept in."""
    return jax.tree.map(lambda p: p.astype(jnp.float32), params)
