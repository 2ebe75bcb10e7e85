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

    @property
    def last(self) -> np.ndarray:
        """Each seed's mean loss over the last tenth of the steps."""
        return self.losses[:, -max(self.losses.shape[1] // 10, 1) :].mean(axis=1)

    def away(self, reference: "Result") -> float:
        """By how many standard deviations of a reference its validation loss is off.

        Seeds begin alike and see the same batches in all formats, but the deviation is
        that between the seeds: what chance does anyway.
        """
        off = self.validation.mean() - reference.validation.mean()
        return float(off / reference.validation.std(ddof=1))


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
    "digits": lambda: Study(digits_problem(), 0.005),
    "text": lambda: Study(text_problem(), 0.005),
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
    state = jax.jit(jax.vmap(tx.init))(params)
    drawn = loss_of(task, begin.data)

    def loss_in_float32(params: Any, rows: jax.Array) -> jax.Array:
        return drawn(_as_float32(params), rows, None)

    def advance(params: Any, state: Any, batches: jax.Array) -> Any:
        def step(carry: Any, rows: jax.Array) -> Any:
            params, state = carry
            loss, grads = jax.value_and_grad(loss_in_float32)(params, rows)
            updates, state = tx.update(grads, state, params)
            return (gradtx.apply_updates(params, updates), state), loss

        (params, _), losses = jax.lax.scan(step, (params, state), batches)
        return losses, task.evaluate(_as_float32(params))["loss"]

    # One seed after the other: each alone fills the machine.
    program = jax.jit(lambda *each: jax.lax.map(lambda one: advance(*one), each))
    losses, validation = program(params, state, begin.batches)
    count = sum(x.size for x in jax.tree.leaves(params))
    losses, validation = (np.asarray(x, np.float64) for x in (losses, validation))
    return Result(losses, validation, nbytes(params) / count, nbytes(state) / count)


def _as_float32(params: Any) -> Any:
    """Return weights in float32, whatever type they are kept in."""
    return jax.tree.map(lambda p: p.astype(jnp.float32), params)
