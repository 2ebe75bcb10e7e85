"""Measure how many of AdamW's steps other methods need to reach what it reaches.

    python benchmarks/outcomes.py --quick
    python benchmarks/outcomes.py --tasks text --minutes 9

First each method's rate, decay, form of schedule and one setting of its own are looked
for by one seed, with as many trials for each method. Then runs of several lengths, each
with a schedule of its own, say how many steps it takes to end where tuned AdamW ends.
What a method reached is written when it is done, and found again: a run that was ended
goes on when it is started again. The table and the picture are made from what is there.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.options import folder, parser, some_of, whole
from benchmarks.outcome_methods import CANDIDATES, Candidate, Course
from benchmarks.outcome_page import load, show, times_of
from benchmarks.outcome_times import times
from benchmarks.report import facts
from benchmarks.resuming import finish, write
from benchmarks.tuning import Tuning, numbers, tune
from gradtx.compare.builtin.tasks import PROBLEMS
from gradtx.compare.protocol import protocol
from gradtx.compare.task import Task
from gradtx.compare.timing import state_bytes
from gradtx.compare.training import Outcome, Trainer

LENGTHS = (0.4, 0.55, 0.7, 0.85, 1.0)
"""Of the runs, as parts of AdamW's."""


class Size(NamedTuple):
    """How much is run."""

    steps: int
    seeds: int
    rates: int
    small: bool
    """Whether the networks are the smallest."""


FULL = Size(200, 5, 5, small=False)
QUICK = Size(30, 2, 3, small=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    size = QUICK if options.quick else FULL
    size = size._replace(
        steps=options.steps or size.steps, seeds=options.seeds or size.seeds
    )
    task_of = cache(lambda name: PROBLEMS[name](quick=size.small).task)
    finish(
        product(options.tasks, options.methods),
        lambda name, method: options.out / f"{name}-{method}.json",
        lambda name, method: outcome(task_of(name), CANDIDATES[method], size),
        options.minutes,
    )
    for name in options.tasks:
        if options.times:
            _time(options.out, name, task_of(name), size.steps)
        show(options.out, name, options.picture)


def _time(place: Path, name: str, task: Task, steps: int) -> None:
    """Write what a step of each method costs that is there."""
    builds = {
        method: partial(_built, each.build) for method, each in CANDIDATES.items()
    }
    found = times(task, load(place, name), builds, steps)
    write(times_of(place, name), found)


def outcome(task: Task, candidate: Candidate, size: Size) -> dict[str, Any]:
    """Tune a method by one seed, and train at the best point for every length.

    The program that tuned does both, with one seed after the other.
    """
    tuning = tune(
        task,
        partial(_built, candidate.build),
        (candidate.centre, size.rates),
        candidate.tuned | {"length": [float(size.steps)]},
        protocol(size.steps, 1, "constant", "grid"),
    )
    lengths = [round(part * size.steps) for part in LENGTHS]
    ends = _ends(task, tuning, lengths, size.seeds)
    return {
        "title": candidate.title,
        **tuning.facts(),
        "lengths": lengths,
        "loss": numbers(ends.final),
        "accuracy": numbers(ends.measures["test accuracy"]),
        "state_bytes_per_parameter": state_bytes(tuning.trainer, tuning.optimizer),
        "size": size._asdict(),
        "machine": facts(),
    }


def _ends(task: Task, tuning: Tuning, lengths: list[int], seeds: int) -> Outcome:
    """Train at the best point, with several seeds, runs of several lengths."""
    fixed = tuning.trainer.protocol._replace(seeds=seeds)
    best = {name: [x] * len(lengths) for name, x in tuning.sweep.point.items()}
    points = {name: np.array(x, np.float32) for name, x in best.items()}
    points["length"] = np.array(lengths, np.float32)
    return Trainer(task, fixed).run(tuning.program, points, lambda: None)


def _built(
    build: Callable[..., Any],
    learning_rate: Any,
    length: Any,
    linear: Any = 0.0,
    **settings: Any,
) -> Any:
    return build(Course(learning_rate, length, linear), **settings)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--tasks", type=some_of(PROBLEMS), metavar="A,B")
    names = list(CANDIDATES)
    add("--methods", type=some_of(CANDIDATES), metavar="A,B")
    add("--steps", type=whole, help="of the longest runs")
    add("--seeds", type=whole, help="of the runs that are counted")
    add("--minutes", type=whole, default=1440, help="begin no method after so many")
    add("--out", type=folder, default=None)
    add("--picture", type=Path, help="where the picture is drawn, if anywhere")
    add("--times", action="store_true", help="time the steps of what is there")
    add("--quick", action="store_true", help="few steps and the smallest networks")
    options = reader.parse_args(arguments)
    options.methods = options.methods or names[: 3 if options.quick else None]
    options.tasks = options.tasks or ["text", "digits"][: 1 if options.quick else None]
    if options.out is None:
        options.out = folder("results/outcomes" + "-quick" * options.quick)
    return options


if __name__ == "__main__":
    main()
