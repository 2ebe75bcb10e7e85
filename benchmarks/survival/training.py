"""Train one task in one format, all seeds in one compiled program."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from comparison.data import ALPHABET, Split, text
from comparison.models import TextNetwork
from comparison.tasks import Task, digits_task, text_task
from comparison.training import Start, loss_of

import gradtx
from benchmarks.survival.formats import Kept
from benchmarks.trees import nbytes


class Study(NamedTuple):
    """A task, and the highest learning rate that it is trained with."""

    task: Task
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
    return Study(digits_task(), 0.005)


def characters() -> Study:
    """Give the text of the comparison."""
    return Study(text_task(), 0.005)


def gpt() -> Study:
    """Give a larger transformer: 10 M parameters on an accelerator, 0.8 M without."""
    small = jax.default_backend() == "cpu"
    width, blocks, batch_size = (128, 4, 16) if small else (320, 8, 64)
    size = "0.8 M" if small else "10 M"
    task = Task(
        name="gpt",
        title=f"Python source text, transformer of {size} parameters",
        data=text(context=32 if small else 128, limit=400_000),
        network=TextNetwork(len(ALPHABET), width, blocks, heads=4),
        batch_size=batch_size,
        steps=300 if small else 1000,
        seeds=3,
        rates=1,
    )
    return Study(task, 0.002)


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
    task = study.task
    rate = gradtx.warmup_cosine_decay_schedule(
        0.0, study.rate, task.steps // 10, task.steps
    )
    tx = kept.build(rate)
    params = jax.tree.map(lambda p: p.astype(kept.weights), begin.params)
    count = sum(x[0].size for x in jax.tree.leaves(params))
    state = jax.jit(jax.vmap(tx.init))(params)

    def advance(params: Any, state: Any, batches: jax.Array) -> Any:
        def step(carry: Any, rows: jax.Array) -> Any:
            params, state = carry
            batch = Split(*(part[rows] for part in task.data.train))
            loss, grads = jax.value_and_grad(partial(_loss, task))(params, batch)
            updates, state = tx.update(grads, state, params)
            return (gradtx.apply_updates(params, updates), state), loss

        (params, _), losses = jax.lax.scan(step, (params, state), batches)
        return losses, _loss(task, params, task.data.validation)

    # One seed after the other: each alone fills the machine.
    program = jax.jit(lambda *each: jax.lax.map(lambda one: advance(*one), each))
    losses, validation = program(params, state, begin.batches)
    seeds = task.seeds * count
    return Result(
        np.asarray(losses, np.float64),
        np.asarray(validation, np.float64),
        nbytes(params) / seeds,
        nbytes(state) / seeds,
    )


def _loss(task: Task, params: Any, batch: Split) -> jax.Array:
    """Return the loss, computed in float32 whatever the weights are kept in."""
    wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    return loss_of(task, wide, batch)
