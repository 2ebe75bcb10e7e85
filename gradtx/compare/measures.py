"""The figures of the table, computed from the sweeps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gradtx.compare.noise import Difference, difference
from gradtx.compare.protocol import Protocol
from gradtx.compare.searching import Sweep, scores
from gradtx.compare.task import Task
from gradtx.compare.training import window

SHORTFALL = 0.1


class Cost(NamedTuple):
    """What a method costs."""

    state_bytes: float
    """Kept by the optimizer for each parameter."""
    seconds: float
    """Of one training step."""
    chunks: int
    """In how many pieces its first points were trained."""


class Row(NamedTuple):
    """What the table says of one method, at its best point."""

    sweep: Sweep
    optimizer: Any
    """The method at that point, ready to use."""
    losses: np.ndarray
    """The loss by which runs are judged, after the last step, one for each seed."""
    measures: dict[str, np.ndarray]
    """What else was evaluated, one number for each seed."""
    arrivals: np.ndarray
    """Steps to the goal, one number for each seed; infinite if not reached."""
    reach: np.ndarray
    """How many tenfolds the rates that work span, for each seed by itself."""
    low: float
    """The smallest rate that works, nan if none does."""
    high: float
    open_low: bool
    """Whether the smallest rate tried works, so that the range may go on."""
    open_high: bool
    cost: Cost

    @property
    def name(self) -> str:
        """The method's short name."""
        return self.sweep.method.name

    @property
    def title(self) -> str:
        """The method's name for people."""
        return self.sweep.method.title

    @property
    def rate(self) -> float:
        """The best learning rate."""
        return self.sweep.point["learning_rate"]

    @property
    def loss(self) -> float:
        """The mean final loss, infinite if any seed diverged."""
        return float(scores(self.sweep.outcome)[self.sweep.best])

    @property
    def steps(self) -> float:
        """Steps to the goal, the median over the seeds; infinite if most never do."""
        return middle(self.arrivals)

    @property
    def width(self) -> float:
        """The factor between the largest and the smallest rate that works."""
        return self.high / self.low if self.low > 0 else 0.0


class Comparison(NamedTuple):
    """All that the pictures, the table and the guide are made from."""

    task: Task
    protocol: Protocol
    rows: tuple[Row, ...]
    opening: float
    """The loss before the first step."""
    target: float
    """The final loss up to which a learning rate is said to work."""
    goal: float
    """The training loss to which steps are counted."""
    baseline: str | None
    """The method whose end is the goal, if one was named and did not diverge."""

    def find(self, name: str) -> Row | None:
        """Give a method's row, or nothing if it took no part or always diverged."""
        return next((row for row in self.ranking if row.name == name), None)

    @property
    def ranking(self) -> list[Row]:
        """The rows by rising final loss, those that always diverged left out."""
        finite = [row for row in self.rows if np.isfinite(row.loss)]
        return sorted(finite, key=lambda row: row.loss)

    @property
    def reference(self) -> Row | None:
        """The row that others are set against: the baseline's, or else the best."""
        named = self.find(self.baseline) if self.baseline else None
        return named or next(iter(self.ranking), None)

    def behind(self, row: Row) -> Difference | None:
        """Give how much higher a row's final loss is than the reference's."""
        reference = self.reference
        if reference is None or reference is row or not np.isfinite(row.loss):
            return None
        return difference(row.losses, reference.losses)


def deviation(values: np.ndarray) -> float:
    """Give the sample standard deviation; zero for a single seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def smooth(losses: np.ndarray, width: int) -> np.ndarray:
    """Average the last axis over the steps just past, fewer at the beginning."""
    with np.errstate(invalid="ignore", over="ignore"):
        kept = np.where(np.isfinite(losses), losses, 0.0).astype(np.float64)
        total = np.cumsum(kept, axis=-1)
        total[..., width:] = total[..., width:] - total[..., :-width]
        count = np.minimum(np.arange(1, losses.shape[-1] + 1), width)
        diverged = np.logical_or.accumulate(~np.isfinite(losses), axis=-1)
        return np.where(diverged, np.inf, total / count)


def steps_to(goal: float, losses: np.ndarray) -> np.ndarray:
    """Count each seed's steps until its averaged training loss is at ``goal`` or below.

    Infinite for a seed that never gets there.
    """
    reached = smooth(losses, window(losses.shape[-1])) <= goal
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1.0, np.inf)


def middle(arrivals: np.ndarray) -> float:
    """Give the median over the seeds; infinite when most never arrive."""
    return float(np.sort(arrivals)[len(arrivals) // 2])


def working(rates: np.ndarray, losses: np.ndarray, best: int, target: float) -> slice:
    """Find the unbroken run of rates around the best whose final loss is on target."""
    works = losses <= target
    low = high = best
    while low > 0 and works[low - 1]:
        low -= 1
    while high < len(rates) - 1 and works[high + 1]:
        high += 1
    return slice(low, high + 1) if works[best] else slice(0, 0)


def compare(
    task: Task,
    protocol: Protocol,
    sweeps: Sequence[Sweep],
    optimizers: Sequence[Any],
    costs: Sequence[Cost],
    baseline: str | None = None,
) -> Comparison:
    """Work out every figure of the comparison.

    The target is a loss: nine tenths of the way from that of the untrained network
    to the lowest that any method ends with. Steps are counted to it, or to where the
    baseline's training loss ends, if one is named and did not diverge.
    """
    opening = float(np.mean([sweep.outcome.train[..., 0].mean() for sweep in sweeps]))
    lowest = min(scores(sweep.outcome).min() for sweep in sweeps)
    lowest = float(lowest) if np.isfinite(lowest) else opening
    target = lowest + SHORTFALL * (opening - lowest)
    end = None if baseline is None else _end(sweeps, baseline)
    goal, baseline = (target, None) if end is None else (end, baseline)
    rows = [
        _row(*figures, target, goal)
        for figures in zip(sweeps, optimizers, costs, strict=True)
    ]
    return Comparison(task, protocol, tuple(rows), opening, target, goal, baseline)


def _end(sweeps: Sequence[Sweep], baseline: str) -> float | None:
    """Give where a method's averaged training loss ends; None if it diverged."""
    (sweep,) = (sweep for sweep in sweeps if sweep.method.name == baseline)
    curves = sweep.outcome.train[sweep.best]
    end = float(smooth(curves, window(curves.shape[-1]))[:, -1].mean())
    return end if np.isfinite(end) else None


def _row(sweep: Sweep, optimizer: Any, cost: Cost, target: float, goal: float) -> Row:
    outcome, along = sweep.outcome, sweep.line
    best = along.tolist().index(sweep.best)
    rates = outcome.rates[along]
    span = working(rates, scores(outcome)[along], best, target)
    inside = rates[span]
    reach = [
        _tenfolds(rates[working(rates, losses, best, target)])
        for losses in np.nan_to_num(outcome.final[along], nan=np.inf).T
    ]
    return Row(
        sweep=sweep,
        optimizer=optimizer,
        losses=outcome.final[sweep.best],
        measures={name: x[sweep.best] for name, x in outcome.measures.items()},
        arrivals=steps_to(goal, outcome.train[sweep.best]),
        reach=np.array(reach),
        low=float(inside[0]) if len(inside) else float("nan"),
        high=float(inside[-1]) if len(inside) else float("nan"),
        open_low=bool(len(inside)) and span.start == 0,
        open_high=bool(len(inside)) and span.stop == len(rates),
        cost=cost,
    )


def _tenfolds(rates: np.ndarray) -> float:
    return float(np.log10(rates[-1] / rates[0])) if len(rates) else -1.0
