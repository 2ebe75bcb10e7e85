"""The methods by which what people are told is tried, and the tasks that try it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import gradtx
from gradtx.compare.builtin.data import ALPHABET, text
from gradtx.compare.builtin.methods import CENTRES
from gradtx.compare.builtin.tasks import PROBLEMS, classification
from gradtx.compare.task import Task

DECAYS = (0.1, 1.0)
CLIP = 1.0
"""The norm to which gradients are clipped."""
STEPS = {
    "sparse": 150,
    "noisy": 400,
    "digits": 150,
    "lstm": 120,
    "text": 120,
    "wide": 100,
}
"""Of a run of each task; ``wide`` is the task of text with a larger transformer."""


class Told(NamedTuple):
    """A method, and what is tuned of it besides its rate."""

    title: str
    build: Callable[..., Any]
    like: str
    """The method of the comparison near whose rates its own lie."""
    tuned: dict[str, tuple[float, float]]
    """Two values of one setting."""
    times: float = 1.0
    """How much larger than that method's its rates are."""


def task_of(name: str, *, quick: bool = False) -> Task:
    """Give the task of a name."""
    return _wide(quick=quick) if name == "wide" else PROBLEMS[name](quick=quick).task


def rate_of(told: Told, task: str) -> float:
    """Give the middle of a method's first grid of rates."""
    return told.times * CENTRES[told.like]["text" if task == "wide" else task]


def _wide(*, quick: bool) -> Task:
    from gradtx.compare.builtin.models import TextNetwork  # noqa: PLC0415 -- Flax

    width = 32 if quick else 64
    network = TextNetwork(len(ALPHABET), width=width, blocks=2)
    return classification("Python source text, width 64", network, text(), 8)


def _clipped(build: Callable[..., Any], rate: Any, **tuned: Any) -> Any:
    return gradtx.chain(gradtx.clip_by_global_norm(CLIP), build(rate, **tuned))


def _ahead(build: Callable[..., Any], rate: Any, slow_step_size: Any) -> Any:
    return gradtx.lookahead(build(rate), 5, slow_step_size)


BETA2 = {"b2": (0.99, 0.999)}
DECAY = {"weight_decay": DECAYS}
LION = {"weight_decay": (5 * DECAYS[0], 5 * DECAYS[1])}
SLOW = {"slow_step_size": (0.5, 0.8)}
METHODS = {
    "momentum": Told(
        "SGD with momentum", gradtx.sgd, "momentum", {"momentum": (0.9, 0.95)}
    ),
    "adam": Told("Adam", gradtx.adam, "adam", BETA2),
    "adamw": Told("AdamW", partial(gradtx.adamw, b2=0.99), "adamw", DECAY),
    "adabelief": Told("AdaBelief", gradtx.adabelief, "adabelief", BETA2),
    "rmsprop": Told("RMSProp", gradtx.rmsprop, "rmsprop", {"decay": (0.9, 0.99)}),
    "adagrad": Told(
        "Adagrad", gradtx.adagrad, "adagrad", {"initial_accumulator_value": (0.0, 0.1)}
    ),
    "lion": Told("Lion", gradtx.lion, "lion", LION),
    "clipped_lion": Told("clipped Lion", partial(_clipped, gradtx.lion), "lion", LION),
    "ahead_adam": Told(
        "Lookahead around Adam",
        partial(_ahead, partial(gradtx.adam, b2=0.99)),
        "adam",
        SLOW,
        2.0,
    ),
    "ahead_momentum": Told(
        "Lookahead around momentum",
        partial(_ahead, partial(gradtx.sgd, momentum=0.9)),
        "momentum",
        SLOW,
        2.0,
    ),
}
