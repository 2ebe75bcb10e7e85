"""Tune one method on a task by one compiled program, and keep what it was done with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradtx.compare.method import methods
from gradtx.compare.protocol import Protocol
from gradtx.compare.running import ask, requests
from gradtx.compare.searching import Sweep, grid, search
from gradtx.compare.task import Task
from gradtx.compare.training import Outcome, Points, Program, Trainer

Tuned = Mapping[str, Sequence[float]]
"""Values of settings, every combination of which is tried with every rate."""


class Tuning(NamedTuple):
    """What tuning found, and the program that trained."""

    sweep: Sweep
    trainer: Trainer
    program: Program
    optimizer: Any
    """At the best point."""

    def facts(self) -> dict[str, Any]:
        """Give the best point, and the points and losses of all that was tried."""
        outcome = self.sweep.outcome
        return {
            "best": self.sweep.point,
            "inside": self.sweep.inside,
            "trials": len(outcome.rates),
            "tried": {name: _short(values) for name, values in outcome.points.items()},
            "tuning_loss": numbers(outcome.final.mean(axis=1)),
        }


def tune(
    task: Task,
    build: Callable[..., Any],
    rates: tuple[float, int],
    tuned: Tuned,
    fixed: Protocol,
) -> Tuning:
    """Try every combination of settings with rates around a centre, and more at edges.

    Args:
      task: what is trained.
      build: makes the optimizer of a rate and of the settings by their names.
      rates: the middle of the first grid, and how many rates it has.
      tuned: what is tuned besides the rate.
      fixed: the protocol.
    """
    asked = ask(
        task,
        methods({"it": build}),
        fixed,
        rates=grid(*rates).tolist(),
        settings={"it": tuned},
    )
    (request,) = requests(asked)
    trainer = asked.trainer
    program = trainer.compile(request.build, request.first, request.plan)

    def train(points: Points) -> Outcome:
        return trainer.run(program, points, lambda: None)

    sweep = search(train, request.method, request.first, fixed.search)
    return Tuning(sweep, trainer, program, request.build(sweep.point))


def numbers(values: Any) -> Any:
    """Round, with nothing where a number is not finite."""
    found = np.asarray(values, np.float64).round(5).astype(object)
    found[~np.isfinite(np.asarray(values, np.float64))] = None
    return found.tolist()


def _short(values: Any) -> list[float]:
    return [float(f"{x:.3g}") for x in values]
