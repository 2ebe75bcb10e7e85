"""What people are told of methods, what would refute it, and what follows from figures.

A claim is a list of comparisons: a figure of each seed, of one method less that of
another on one task. Below its margin it speaks for the claim, above against it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradtx.compare.noise import Difference, difference

HOLDS, REFUTED, OPEN = "holds here", "does not hold here", "undecided"
BEST = 1
"""The place of the best rate among those that a record has: below it, it, above it."""
EQUAL = 0.01
"""The part of the other's figure that counts as a tie, where no worse is enough."""

Record = Mapping[str, Any]
Records = Mapping[str, Mapping[str, Record]]
"""By task and method."""


class Figure(NamedTuple):
    """What is compared: a number of each seed."""

    title: str
    of: Callable[[Record], np.ndarray]


def losses(record: Record) -> np.ndarray:
    """Give final losses, (rates, seeds); one that diverged is the untrained loss."""
    most = record["opening"]
    found = [[most if x is None else x for x in row] for row in record["loss"]]
    return np.minimum(np.array(found, float), most)


def loss(record: Record) -> np.ndarray:
    """Give each seed's final loss at the best rate."""
    return losses(record)[BEST]


def error(record: Record) -> np.ndarray:
    """Give each seed's part of wrong answers on the test split, in percent."""
    return 100 * (1 - np.array(record["accuracy"], float))


def spread(record: Record) -> np.ndarray:
    """Give how far each seed's final loss is from the mean of the seeds."""
    return np.abs(loss(record) - loss(record).mean())


def cost(record: Record) -> np.ndarray:
    """Give what a rate a step of the grid off adds to the loss, the mean of both."""
    found = losses(record)
    return (found[BEST - 1] + found[BEST + 1]) / 2 - found[BEST]


LOSS = Figure("final loss", loss)
ERROR = Figure("wrong answers, %", error)
SPREAD = Figure("distance from the seeds' mean loss", spread)
COST = Figure("loss added by a rate off", cost)


class Pair(NamedTuple):
    """Two methods on a task, by one figure of each seed."""

    task: str
    one: str
    other: str
    figure: Figure = LOSS
    as_good: bool = False
    """Whether it is enough to be no worse than the other, by a margin."""


class Claim(NamedTuple):
    """What is told, and the comparisons that could refute it."""

    told: str
    tried: tuple[Pair, ...]


class Found(NamedTuple):
    """What one comparison gave."""

    tried: Pair
    one: float
    """The mean of the figure."""
    other: float
    difference: Difference
    margin: float

    @property
    def verdict(self) -> str:
        """Whether it speaks for the claim, against it, or neither."""
        if self.difference.high < self.margin:
            return HOLDS
        return REFUTED if self.difference.low > self.margin else OPEN


def found(records: Records, tried: Pair) -> Found | None:
    """Work out one comparison; None where a run of it is missing."""
    runs = records.get(tried.task, {})
    if not {tried.one, tried.other} <= runs.keys():
        return None
    one, other = (tried.figure.of(runs[name]) for name in (tried.one, tried.other))
    margin = EQUAL * float(other.mean()) if tried.as_good else 0.0
    means = float(one.mean()), float(other.mean())
    return Found(tried, *means, difference(one, other), margin)


def verdict(outcomes: Sequence[Found | None]) -> str:
    """Say what follows: one comparison refutes a claim, all together hold it."""
    said = {OPEN if each is None else each.verdict for each in outcomes}
    if REFUTED in said:
        return REFUTED
    return HOLDS if said == {HOLDS} else OPEN


def _no_worse(tasks: str, one: str, others: str) -> tuple[Pair, ...]:
    return tuple(
        Pair(task, one, other, as_good=True)
        for task in tasks.split()
        for other in others.split()
    )


def _steadier(task: str, one: str, other: str) -> tuple[Pair, ...]:
    return Pair(task, one, other, SPREAD), Pair(task, one, other, COST)


def _fits_less(one: str, other: str) -> tuple[Pair, ...]:
    return Pair("noisy", one, other), Pair("noisy", one, other, ERROR)


CLAIMS = (
    Claim(
        "Adam as the first choice",
        _no_worse("digits text lstm", "adam", "momentum rmsprop adagrad"),
    ),
    Claim("AdamW against overfitting", _fits_less("adamw", "adam")),
    Claim(
        "Momentum is steady",
        _steadier("digits", "momentum", "adam") + _steadier("text", "momentum", "adam"),
    ),
    Claim(
        "RMSProp for recurrent networks", _no_worse("lstm", "rmsprop", "adam momentum")
    ),
    Claim(
        "Adagrad for sparse features",
        _no_worse("sparse", "adagrad", "adam rmsprop momentum"),
    ),
    Claim("Lion for large models", _no_worse("wide", "lion", "adamw")),
    Claim("Lion needs no clipping", _no_worse("text lstm", "lion", "clipped_lion")),
    Claim(
        "AdaBelief is steadier than Adam",
        _steadier("digits", "adabelief", "adam")
        + _steadier("text", "adabelief", "adam"),
    ),
    Claim("AdaBelief overfits less than Adam", _fits_less("adabelief", "adam")),
    Claim(
        "Lookahead is steadier, around anything",
        _steadier("digits", "ahead_momentum", "momentum")
        + _steadier("text", "ahead_adam", "adam"),
    ),
)
"""Where a method is told to be the choice for something, no worse is enough."""
