"""What is trained: data, network, and how long."""

from typing import Any, NamedTuple

import jax

from gradtx.compare.builtin.data import (
    ALPHABET,
    Data,
    Split,
    digits,
    mislabelled,
    ngrams,
    text,
)
from gradtx.compare.needs import needed
from gradtx.compare.task import Task
from gradtx.losses import softmax_cross_entropy_with_integer_labels


class Problem(NamedTuple):
    """A task, with the size of its comparison."""

    name: str
    task: Task
    steps: int
    seeds: int
    rates: int
    """How many learning rates a grid has."""


WRONG = 0.3
"""The part of wrong labels of the noisy task."""


def digits_problem(*, quick: bool = False) -> Problem:
    """Give the handwritten digits with a small convolutional network."""
    name = "handwritten digits, small convolutional network"
    return _of_digits("digits", name, digits(), steps=80 if quick else 400, quick=quick)


def noisy_problem(*, quick: bool = False) -> Problem:
    """Give the digits, of whose labels to learn from three in ten are wrong.

    Validation and test have true labels, so a network that learns the wrong ones by
    heart is seen to: its loss rises.
    """
    wrong = f"{100 * WRONG:.0f} % of labels wrong"
    name = f"handwritten digits, {wrong}, small convolutional network"
    data = mislabelled(digits(), WRONG)
    return _of_digits("noisy", name, data, steps=100 if quick else 600, quick=quick)


def _of_digits(
    name: str, title: str, data: Data, *, steps: int, quick: bool
) -> Problem:
    with needed("the task of digits"):
        from gradtx.compare.builtin.models import DigitNetwork  # noqa: PLC0415 -- Flax

    network = DigitNetwork(features=8 if quick else 16)
    task = classification(title, network, data, batch_size=32)
    return Problem(name, task, steps, seeds=3, rates=9 if quick else 11)


def text_problem(*, quick: bool = False) -> Problem:
    """Give the standard library's text with a small character transformer."""
    with needed("the task of text"):
        from gradtx.compare.builtin.models import TextNetwork  # noqa: PLC0415 -- Flax

    network = TextNetwork(len(ALPHABET), width=16 if quick else 32)
    return _of_text("text", "small character transformer", network, quick=quick)


def lstm_problem(*, quick: bool = False) -> Problem:
    """Give the standard library's text with a small LSTM."""
    with needed("the task of an LSTM"):
        from gradtx.compare.builtin.models import (  # noqa: PLC0415 -- Flax
            RecurrentNetwork,
        )

    network = RecurrentNetwork(len(ALPHABET), width=16 if quick else 32)
    return _of_text("lstm", "small LSTM", network, quick=quick)


def sparse_problem(*, quick: bool = False) -> Problem:
    """Give hashed n-grams of the standard library's text with a linear layer.

    An example has four of the features, most of them rare: the gradient is sparse.
    """
    with needed("the task of rare features"):
        from gradtx.compare.builtin.models import BagNetwork  # noqa: PLC0415 -- Flax

    buckets = 256 if quick else 2048
    network = BagNetwork(buckets, len(ALPHABET))
    title = "Python source text, linear layer over hashed n-grams"
    task = classification(title, network, ngrams(buckets), batch_size=64)
    return Problem("sparse", task, steps=60 if quick else 400, seeds=3, rates=9)


def _of_text(name: str, title: str, network: Any, *, quick: bool) -> Problem:
    title = f"Python source text, {title}"
    task = classification(title, network, text(), batch_size=8)
    return Problem(name, task, steps=60 if quick else 400, seeds=3, rates=9)


def classification(name: str, network: Any, data: Data, batch_size: int) -> Task:
    """Make a task of a Flax network that gives logits, and of labelled data.

    The final loss is that of the validation split; the accuracy that of the test split.
    """

    def loss(params: Any, split: Split, key: Any = None) -> jax.Array:
        del key
        logits = network.apply(params, split.inputs)
        losses = softmax_cross_entropy_with_integer_labels(logits, split.labels)
        return losses.mean()

    def evaluate(params: Any) -> dict[str, jax.Array]:
        guesses = network.apply(params, data.test.inputs).argmax(-1)
        accuracy = (guesses == data.test.labels).mean()
        return {"loss": loss(params, data.validation), "test accuracy": accuracy}

    example = data.train.inputs[:1]
    return Task(
        init=lambda key: network.init(key, example),
        loss=loss,
        batches=data.train,
        evaluate=evaluate,
        batch_size=batch_size,
        name=name,
    )


PROBLEMS = {
    "digits": digits_problem,
    "text": text_problem,
    "lstm": lstm_problem,
    "sparse": sparse_problem,
    "noisy": noisy_problem,
}
