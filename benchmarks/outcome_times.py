"""What a step of each method costs, one after the other, as a multiple of AdamW's."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.outcome_page import BASELINE, Found
from benchmarks.report import facts
from gradtx.compare.protocol import protocol
from gradtx.compare.task import Task
from gradtx.compare.timing import compile_step, in_turn, runner
from gradtx.compare.training import Trainer

ROUNDS = 5


def times(
    task: Task, found: Found, builds: Mapping[str, Callable[..., Any]], steps: int
) -> dict[str, Any]:
    """Time whole runs of all methods side by side, each at its best point.

    The methods take turns, each a fifth of the run, so that a busy moment of the
    machine hits all alike.

    Args:
      task: what is trained.
      found: what was written of each method.
      builds: makes each method's optimizer of its best point.
      steps: of a run.
    """
    trainer = Trainer(task, protocol(steps, 1, "constant", "grid"))
    runners = []
    for name, each in found.items():
        build = trainer.build(builds[name])
        step = compile_step(trainer, build, each["best"])
        runners.append(runner(trainer, step, build, each["best"], steps // ROUNDS))
    turns = in_turn(runners, ROUNDS, np.inf)
    return {
        "milliseconds": _by_name(found, 1e3 * turns.mean(axis=0)),
        "ratio": _by_name(found, ratios(turns, list(found).index(BASELINE))),
        "steps": steps,
        "machine": facts(),
    }


def ratios(turns: np.ndarray, base: int) -> np.ndarray:
    """Give each method's time by that of one: of all turns, of the least, the most."""
    each = turns / turns[:, [base]]
    whole = turns.sum(axis=0) / turns[:, base].sum()
    return np.stack([whole, each.min(axis=0), each.max(axis=0)], axis=1)


def _by_name(found: Found, values: np.ndarray) -> dict[str, Any]:
    return dict(zip(found, values.round(3).tolist(), strict=True))
