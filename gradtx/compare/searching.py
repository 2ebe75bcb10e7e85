"""A sweep over learning rates that looks further until the best lies inside."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradtx.compare.method import Method
from gradtx.compare.training import Outcome, Points

SPACING = 10 ** (1 / 3)
WIDENINGS = 3
PAIR = 2

Run = Callable[[Points], Outcome]


class Sweep(NamedTuple):
    """All that one method did."""

    method: Method
    outcome: Outcome
    best: int
    """Which of the points has the lowest mean loss."""
    widened: int
    """How often the grid had to grow."""
    inside: bool
    """Whether the best rate has a worse one on either side."""

    @property
    def point(self) -> dict[str, float]:
        """The learning rate and the other settings of the best point."""
        return at(self.outcome.points, self.best)

    @property
    def line(self) -> np.ndarray:
        """The numbers of the points that share the best one's settings, by rate."""
        return line(self.outcome.points, self.best)


def grid(centre: float, count: int) -> np.ndarray:
    """Give ``count`` rates around ``centre``, three to a factor of ten."""
    return centre * SPACING ** (np.arange(count) - count // 2)


def points(rates: np.ndarray, settings: Sequence[dict[str, float]]) -> Points:
    """Give the points of all settings with all rates."""
    names = list(settings[0])
    found = {"learning_rate": np.tile(rates, len(settings))}
    for name in names:
        found[name] = np.repeat([each[name] for each in settings], len(rates))
    return {name: np.asarray(x, np.float32) for name, x in found.items()}


def at(swept: Points, number: int) -> dict[str, float]:
    """Give one point, in numbers that print as they were written."""
    return {name: float(str(values[number])) for name, values in swept.items()}


def line(swept: Points, number: int) -> np.ndarray:
    """Number the points that differ from one in the rate at most, by rising rate."""
    same = np.ones(len(swept["learning_rate"]), bool)
    for name, values in swept.items():
        same &= (name == "learning_rate") | (values == values[number])
    return np.flatnonzero(same)


def scores(outcome: Outcome) -> np.ndarray:
    """Give each point's mean final loss; infinite where a seed diverged."""
    with np.errstate(invalid="ignore", over="ignore"):
        means = outcome.final.mean(axis=1)
    return np.where(np.isfinite(means), means, np.inf)


def diverged(outcome: Outcome) -> int:
    """Count the runs whose loss was not finite at some step, or at the end."""
    finite = np.isfinite(outcome.train).all(axis=-1) & np.isfinite(outcome.final)
    return int((~finite).sum())


def beyond(outcome: Outcome, count: int) -> Points | None:
    """Give ``count`` points past the edge on which the best lies; none if inside.

    They are spaced as those at the edge are. Where every rate diverged, smaller ones
    are the place to look.
    """
    losses = scores(outcome)
    best, steps = int(losses.argmin()), np.arange(1, count + 1)
    along = line(outcome.points, best)
    rates, place = outcome.rates[along], along.tolist().index(best)
    if len(rates) == 1:
        return None
    if place == 0 or not np.isfinite(losses[best]):
        more = (rates[0] / (rates[1] / rates[0]) ** steps)[::-1]
    elif place == len(rates) - 1:
        more = rates[-1] * (rates[-1] / rates[-2]) ** steps
    else:
        return None
    return _with_rates(outcome, best, more)


def between(outcome: Outcome) -> Points | None:
    """Give the two points half-way to the neighbours of the best; none if near."""
    best = int(scores(outcome).argmin())
    along = line(outcome.points, best)
    place = along.tolist().index(best)
    if not 0 < place < len(along) - 1:
        return None
    low, middle, high = outcome.rates[along[place - 1 : place + 2]]
    if max(middle / low, high / middle) <= 1.01 * SPACING:
        return None
    return _with_rates(outcome, best, np.sqrt([low * middle, middle * high]))


def _with_rates(outcome: Outcome, best: int, rates: np.ndarray) -> Points:
    settings = at(outcome.points, best)
    del settings["learning_rate"]
    return points(rates, [settings])


def merge(first: Outcome, second: Outcome) -> Outcome:
    """Join two sets of points into one, those of equal settings by rising rate."""
    swept = {
        name: np.concatenate([values, second.points[name]])
        for name, values in first.points.items()
    }
    order = np.lexsort(list(swept.values()))

    def join(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.concatenate([one, other])[order]

    return Outcome(
        {name: values[order] for name, values in swept.items()},
        join(first.train, second.train),
        join(first.final, second.final),
        {name: join(x, second.measures[name]) for name, x in first.measures.items()},
    )


def search_grid(run: Run, method: Method, first: Points, count: int) -> Sweep:
    """Run a grid, and further ones of ``count`` rates while the best is on the edge."""
    outcome, widened = run(first), 0
    more = beyond(outcome, count)
    while more is not None and widened < WIDENINGS:
        outcome, widened = merge(outcome, run(more)), widened + 1
        more = beyond(outcome, count)
    return _sweep(method, outcome, widened)


def search_halving(run: Run, method: Method, first: Points) -> Sweep:
    """Run a coarse grid, go past its edges, then halve the intervals at the best.

    Ends where the neighbours of the best are as near as in a grid of three rates to a
    factor of ten.
    """
    found = search_grid(run, method, first, PAIR)
    outcome = found.outcome
    while (more := between(outcome)) is not None:
        outcome = merge(outcome, run(more))
    return _sweep(method, outcome, found.widened)


def coarse(rates: np.ndarray) -> np.ndarray:
    """Give four rates over the range of a finer grid."""
    return np.geomspace(rates[0], rates[-1], 4) if len(rates) > 4 else rates  # noqa: PLR2004


def _sweep(method: Method, outcome: Outcome, widened: int) -> Sweep:
    best = int(scores(outcome).argmin())
    place = line(outcome.points, best).tolist()
    inside = best not in (place[0], place[-1])
    return Sweep(method, outcome, best, widened, inside)


def search(run: Run, method: Method, first: Points, kind: str) -> Sweep:
    """Look for the best point from a first set, by the kind that was asked for."""
    if kind == "bisect":
        return search_halving(run, method, first)
    return search_grid(run, method, first, len(line(first, 0)))


def first_points(
    rates: np.ndarray, settings: Sequence[dict[str, Any]], kind: str
) -> Points:
    """Give the points that a method is tried at first."""
    return points(coarse(rates) if kind == "bisect" else rates, settings)


def width(first: Points, kind: str) -> int:
    """Give how many points are trained at once where memory allows."""
    return (
        min(PAIR, len(first["learning_rate"]))
        if kind == "bisect"
        else len(line(first, 0))
    )
