"""AdamW in every format of weights and state, and how a task is trained in one."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gradtx
from gradtx import codecs, compare
from gradtx.compare.builtin import tasks
from gradtx.compare.builtin.data import ALPHABET, text
from gradtx.compare.plan import tree_bytes
from gradtx.compare.training import Outcome


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


def gpt_problem() -> tasks.Problem:
    """Give a larger transformer: 10 M parameters on an accelerator, 0.8 M without."""
    from gradtx.compare.builtin.models import TextNetwork  # noqa: PLC0415 -- Flax

    small = jax.default_backend() == "cpu"
    width, blocks, batch_size = (128, 4, 16) if small else (320, 8, 64)
    task = tasks.classification(
        f"Python source text, transformer of {'0.8' if small else '10'} M parameters",
        TextNetwork(len(ALPHABET), width, blocks, heads=4),
        text(context=32 if small else 128, limit=400_000),
        batch_size,
    )
    return tasks.Problem("gpt", task, steps=300 if small else 1000, seeds=3, rates=1)


# The problems, each with the highest learning rate that it is trained with.
STUDIES: dict[str, tuple[Callable[[], tasks.Problem], float]] = {
    "digits": (tasks.digits_problem, 0.005),
    "text": (tasks.text_problem, 0.005),
    "gpt": (gpt_problem, 0.002),
}


def train(problem: tasks.Problem, highest: float, kept: Kept) -> Outcome:
    """Train every seed with weights and state as a format keeps them.

    The rate rises for a tenth of the steps and falls to nothing along a cosine, so that
    the last steps are small ones: those that few bits lose.
    """
    return compare.sweep(
        kept.build,
        keeping(problem.task, kept.weights),
        [highest],
        steps=problem.steps,
        seeds=problem.seeds,
        schedule="warmup_cosine",
    )


def keeping(task: compare.Task, weights: Any) -> compare.Task:
    """Return a task whose weights are kept in a type, and computed with in float32."""
    narrow = partial(jax.tree.map, lambda p: p.astype(weights))
    wide = partial(jax.tree.map, lambda p: p.astype(jnp.float32))
    judge = task.evaluate or dict
    return task._replace(
        init=lambda key: narrow(task.init(key)),
        loss=lambda params, batch, key: task.loss(wide(params), batch, key),
        evaluate=lambda params: judge(wide(params)),
    )


def bytes_of(task: compare.Task, kept: Kept) -> tuple[float, float]:
    """Return the bytes of weights and of state, for each parameter."""
    params = jax.eval_shape(keeping(task, kept.weights).init, jax.random.key(0))
    state = jax.eval_shape(kept.build(0.1).init, params)
    count = sum(x.size for x in jax.tree.leaves(params))
    return tree_bytes(params) / count, tree_bytes(state) / count
