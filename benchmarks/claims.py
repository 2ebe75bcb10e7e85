"""Try what people are told of optimizers on the tasks that could refute it.

    python benchmarks/claims.py --quick
    python benchmarks/claims.py --tasks sparse,noisy --minutes 9

Each method is tuned over its rate and one setting, with several seeds. What a method
reached is written when it is done, and found again: a run that was ended goes on when
it is started again. The tables are made from what is there.
"""

import argparse
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from benchmarks.claim_list import CLAIMS
from benchmarks.claim_methods import METHODS, STEPS, rate_of, task_of
from benchmarks.claim_page import load, page
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.report import facts
from benchmarks.resuming import finish
from benchmarks.tuning import numbers, tune
from gradtx.compare.protocol import protocol
from gradtx.compare.searching import Sweep
from gradtx.compare.task import Task

SEEDS = 5
RATES = 5


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    tasks = cache(partial(task_of, quick=options.quick))

    def measure(name: str, method: str) -> dict[str, Any]:
        steps = min(STEPS[name], 20) if options.quick else STEPS[name]
        return measured(tasks(name), name, method, steps)

    finish(
        [(name, method) for name in options.tasks for method in needed(name)],
        lambda name, method: options.out / f"claims-{name}-{method}.json",
        measure,
        options.minutes,
    )
    print(page(load(options.out)))


def needed(task: str) -> list[str]:
    """Give the methods that are compared on a task."""
    pairs = [pair for claim in CLAIMS for pair in claim.tried if pair.task == task]
    names = [name for pair in pairs for name in (pair.other, pair.one)]
    return list(dict.fromkeys(names))


def measured(task: Task, name: str, method: str, steps: int) -> dict[str, Any]:
    """Tune a method, and give what it reached at its best rate and those next to it."""
    told = METHODS[method]
    tuning = tune(
        task,
        told.build,
        (rate_of(told, name), RATES),
        told.tuned,
        protocol(steps, SEEDS, "warmup_cosine", "grid"),
    )
    outcome, near = tuning.sweep.outcome, neighbours(tuning.sweep)
    return {
        "title": told.title,
        **tuning.facts(),
        "rates": [float(f"{x:.3g}") for x in outcome.rates[near]],
        "loss": numbers(outcome.final[near]),
        "accuracy": numbers(outcome.measures["test accuracy"][tuning.sweep.best]),
        "opening": float(tuning.trainer.opening.mean().round(5)),
        "steps": steps,
        "machine": facts(),
    }


def neighbours(sweep: Sweep) -> list[int]:
    """Number the points below, at and above the best rate; its only one twice."""
    along = sweep.line.tolist()
    at = along.index(sweep.best)
    below, above = max(at - 1, 0), min(at + 1, len(along) - 1)
    below, above = (above, above) if below == at else (below, above)
    below, above = (below, below) if above == at else (below, above)
    return [along[below], sweep.best, along[above]]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--tasks", type=some_of(STEPS), metavar="A,B")
    add("--minutes", type=whole, default=1440, help="begin no method after so many")
    add("--out", type=folder, default=None)
    add("--quick", action="store_true", help="20 steps and the smallest networks")
    options = reader.parse_args(arguments)
    options.tasks = options.tasks or list(STEPS)[: 1 if options.quick else None]
    if options.out is None:
        options.out = folder("results/claims" + "-quick" * options.quick)
    return options


if __name__ == "__main__":
    main()
