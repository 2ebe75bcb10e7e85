"""AdamW in every format of weights and state, and how a task is trained in one."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from benchmarks.trees import nbytes
from gradtx import codecs
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


class Kept(NamedTuple):
    """How weights are kept, and states: by what a learning rate makes."""

    weights: Any
    build: Callable[[Any], Any]


SMALL = 256  # leaves below this stay as they are: here even the small ones are encoded
_adamw = partial(gradtx.adamw, weight_decay=0.01)
_int8 = partial(gradtx.adamw8bit, weight_decay=0.01, min_size=SMALL)
_int4 = partial(gradtx.adamw4bit, weight_decay=0.01, min_size=SMALL)


def _in(codec: Any) -> Kept:
    """Keep the state in a codec, and the weights in float32."""
    chosen = {"mu": codec, "nu": codec}
    quantized = partial(gradtx.quantize_state, codec=chosen, min_size=SMALL)
    return Kept(jnp.float32, lambda rate: quantized(_adamw(rate)))


def _after(make: Callable[[Any], Any], wrap: Callable[[Any], Any]) -> Kept:
    return Kept(jnp.bfloat16, lambda rate: wrap(make(rate)))


REFERENCE = "float32"
FORMATS = {
    "float32": Kept(jnp.float32, _adamw),
    "bfloat16-state": _in(codecs.bfloat16()),
    "float8-state": _in(codecs.float8()),
    "int8-state": Kept(jnp.float32, partial(_int8, block=256)),
    "int8-rows-state": Kept(jnp.float32, partial(_int8, block=None)),
    "int4-state": Kept(jnp.float32, _int4),
    "bfloat16-master": _after(_adamw, gradtx.with_master_weights),
    "bfloat16-compensated": _after(_adamw, gradtx.with_compensation),
    "bfloat16-compensated-int8": _after(_int8, gradtx.with_compensation),
    "bfloat16-stochastic": _after(_adamw, gradtx.with_stochastic_rounding),
    "bfloat16-plain": Kept(jnp.bfloat16, _adamw),
}


def gpt_problem() -> Problem:
    """Give a larger transformer: 10 M parameters on an accelerator, 0.8 M without."""
    small = jax.default_backend() == "cpu"
    width, blocks, batch_size = (128, 4, 16) if small else (320, 8, 64)
    task = classification(
        f"Python source text, transformer of {'0.8' if small else '10'} M parameters",
        TextNetwork(len(ALPHABET), width, blocks, heads=4),
        text(context=32 if small else 128, limit=400_000),
        batch_size,
    )
    return Problem("gpt", task, steps=300 if small else 1000, seeds=3, rates=1)


# The problems, each with the highest learning rate that it is trained with.
STUDIES: dict[str, tuple[Callable[[], Problem], float]] = {
    "digits": (digits_problem, 0.005),
    "text": (text_problem, 0.005),
    "gpt": (gpt_problem, 0.002),
}


class Result(NamedTuple):
    """What came of one format."""

    losses: np.ndarray  # of every batch, (seeds, steps)
    validation: np.ndarray  # at the end, of each seed
    weight_bytes: float  # per parameter
    state_bytes: float


_as_float32 = partial(jax.tree.map, lambda p: p.astype(jnp.float32))


def train(problem: Problem, highest: float, begin: Start, kept: Kept) -> Result:
    """Train every seed in one compiled program, then judge the weights.

    The rate rises for a tenth of the steps and falls to nothing along a cosine, so that
    the last steps are small ones: those that few bits lose.
    """
    steps, task = problem.steps, problem.task
    tx = kept.build(
        gradtx.warmup_cosine_decay_schedule(0.0, highest, steps // 10, steps)
    )
    params = jax.tree.map(lambda p: p.astype(kept.weights), begin.params)
    state = jax.jit(jax.vmap(tx.init))(params)
    drawn, judge = loss_of(task, begin.data), task.evaluate or dict

    def advance(params: Any, state: Any, batches: jax.Array) -> Any:
        def step(carry: Any, rows: jax.Array) -> Any:
            params, state = carry
            loss, grads = jax.value_and_grad(
                lambda params: drawn(_as_float32(params), rows, None)
            )(params)
            updates, state = tx.update(grads, state, params)
            return (gradtx.apply_updates(params, updates), state), loss

        (params, _), losses = jax.lax.scan(step, (params, state), batches)
        return losses, judge(_as_float32(params))["loss"]

    # One seed after the other: each alone fills the machine.
    program = jax.jit(lambda *each: jax.lax.map(lambda one: advance(*one), each))
    losses, validation = program(params, state, begin.batches)
    count = sum(x.size for x in jax.tree.leaves(params))
    losses, validation = (np.asarray(x, np.float64) for x in (losses, validation))
    return Result(losses, validation, nbytes(params) / count, nbytes(state) / count)
