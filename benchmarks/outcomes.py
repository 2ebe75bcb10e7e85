"""Measure how many of AdamW's steps other methods need to reach what it reaches.

    python benchmarks/outcomes.py --quick
    python benchmarks/outcomes.py --tasks text --minutes 9

First each method's rate is looked for (AdamW's decay, b2 and schedule too), by one
seed. Then runs of several lengths, each with a schedule of its own, say how many steps
it takes to end where tuned AdamW ends. What a method reached is written when it is
done, and found again: a run that was ended goes on when it is started again. The table
and the picture are made from what is there.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import facts
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.outcome_methods import CANDIDATES, Candidate, Course
from benchmarks.outcome_page import show
from gradtx import compare
from gradtx.compare.builtin.tasks import PROBLEMS
from gradtx.compare.searching import grid
from gradtx.compare.task import Task

LENGTHS = (0.4, 0.55, 0.7, 0.85, 1.0)
"""Of the runs, as parts of AdamW's."""
BASELINE = "adamw"
TUNED = {"weight_decay": [0.01, 0.1], "b2": [0.95, 0.99], "linear": [0.0, 1.0]}
"""What is tuned of the baseline besides its rate."""


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
    end = time.monotonic() + 60 * options.minutes
    for name in options.tasks:
        task = PROBLEMS[name](quick=size.small).task
        for method in options.methods:
            if time.monotonic() > end:
                break
            place = options.out / f"{name}-{method}.json"
            if not place.exists():
                found = outcome(task, CANDIDATES[method], size, tuned=_tuned(method))
                place.write_text(json.dumps(found) + "\n", encoding="utf-8")
                print(f"{name}: {method} is done", flush=True)
        show(options.out, name, options.picture)


def outcome(
    task: Task, candidate: Candidate, size: Size, tuned: dict[str, list[float]]
) -> dict[str, Any]:
    """Tune a method, and train at the best point for every length."""
    rates = grid(candidate.centre, size.rates).tolist()
    built = partial(_built, candidate.build, float(size.steps))
    result = compare.run(
        task,
        {"it": _taking(built, tuned)},
        steps=size.steps,
        seeds=1,
        rates=rates,
        settings=tuned,
        progress=False,
    )
    (row,) = result.comparison.rows
    best = row.sweep.point
    rate = best.pop("learning_rate")
    lengths = [round(part * size.steps) for part in LENGTHS]
    ends = compare.sweep(
        lambda learning_rate, length: _built(
            candidate.build, length, learning_rate, **best
        ),
        task,
        [rate],
        steps=size.steps,
        seeds=size.seeds,
        settings={"length": [float(length) for length in lengths]},
    )
    accuracy = ends.measures["test accuracy"]
    return {
        "title": candidate.title,
        "best": {"learning_rate": rate, **best},
        "inside": row.sweep.inside,
        "trials": len(row.sweep.outcome.rates),
        "tried": [float(f"{x:.3g}") for x in row.sweep.outcome.rates],
        "tuning_loss": _numbers(row.sweep.outcome.final[:, 0]),
        "lengths": lengths,
        "loss": _numbers(ends.final),
        "accuracy": _numbers(accuracy),
        "milliseconds_per_step": 1e3 * row.cost.seconds,
        "state_bytes_per_parameter": row.cost.state_bytes,
        "size": size._asdict(),
        "machine": facts(),
    }


def _built(
    build: Callable[..., Any],
    length: Any,
    learning_rate: Any,
    linear: Any = 0.0,
    **settings: Any,
) -> Any:
    return build(Course(learning_rate, length, linear), **settings)


def _taking(built: Callable[..., Any], tuned: dict[str, list[float]]) -> Callable:
    """Give a function whose arguments are named, as a sweep wants them."""
    if not tuned:
        return built
    return lambda learning_rate, weight_decay, b2, linear: built(
        learning_rate, linear=linear, weight_decay=weight_decay, b2=b2
    )


def _tuned(method: str) -> dict[str, list[float]]:
    return TUNED if method == BASELINE else {}


def _numbers(values: Any) -> Any:
    """Round, with nothing where a number is not finite."""
    found = np.asarray(values, np.float64).round(5).astype(object)
    found[~np.isfinite(np.asarray(values, np.float64))] = None
    return found.tolist()


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
    add("--quick", action="store_true", help="few steps and the smallest networks")
    options = reader.parse_args(arguments)
    options.methods = options.methods or names[: 3 if options.quick else None]
    options.tasks = options.tasks or ["text", "digits"][: 1 if options.quick else None]
    if options.out is None:
        options.out = folder("results/outcomes" + "-quick" * options.quick)
    return options


if __name__ == "__main__":
    main()
