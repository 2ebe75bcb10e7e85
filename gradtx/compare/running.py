"""Run a comparison: sweep every method, time it, and tell what is done meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradtx.common.checks import InvalidArgument
from gradtx.compare import checking
from gradtx.compare.ahead import Ahead, Request, ahead
from gradtx.compare.checking import Rates
from gradtx.compare.measures import Comparison, Cost, compare
from gradtx.compare.method import Method, Settings, combinations, methods
from gradtx.compare.plan import memory_limit
from gradtx.compare.progress import Quiet, display
from gradtx.compare.protocol import Course, Protocol, protocol
from gradtx.compare.result import FIGURES, Result
from gradtx.compare.searching import (
    Sweep,
    at,
    first_points,
    line,
    scores,
    search,
    width,
)
from gradtx.compare.store import Store
from gradtx.compare.task import Task
from gradtx.compare.timing import state_bytes, step_seconds
from gradtx.compare.training import Outcome, Points, Trainer


class Asked(NamedTuple):
    """What a comparison is asked to do, checked."""

    trainer: Trainer
    methods: list[Method]
    rates: list[np.ndarray]
    settings: list[list[dict[str, float]]]
    baseline: str | None
    out: Path | None
    memory: int


def run(
    task: Task,
    optimizers: Mapping[str, Callable[..., Any]],
    *,
    steps: int,
    seeds: int = 3,
    rates: Rates = None,
    settings: Settings | Mapping[str, Settings] | None = None,
    schedule: str | Course = "constant",
    search: str = "grid",
    baseline: str | None = None,
    out: str | Path | None = None,
    memory: int | None = None,
    progress: bool = True,
) -> Result:
    """Compare optimizers on a task, each at its own best learning rate.

    Every method gets the same initial weights and batches, the same number of steps and
    seeds and the same course of the learning rate. Its rates (times its other settings,
    times the seeds) are trained at once in one compiled program; where memory does not
    suffice they are cut into equal chunks, and this is said. A run whose loss stops
    being a finite number has diverged: it counts as infinitely bad, and is counted.

    Args:
      task: what is trained.
      optimizers: a function of the learning rate for each name, such as
        ``gradtx.adamw`` or ``lambda rate: gradtx.sgd(rate, momentum=0.9)``. It is given
        a traced number, or a schedule of it.
      steps: training steps of each run, at least 1.
      seeds: how many seeds each point of a sweep has, at least 1; five or more where
        small differences count.
      rates: the learning rates to begin with, positive: a sequence for all methods, or
        one for each name. The grid grows past an edge on which the best lies, in its
        own spacing and up to three times; a single rate is taken as given. Nine from
        1e-4 to 1, evenly in their logarithm, where None or where a name is missing.
      settings: values of other settings to sweep, every combination with every rate:
        ``{"b2": [0.95, 0.99]}`` for all methods that take the setting by name, or
        ``{"adamw": {"b2": [0.95, 0.99]}}`` for one. Numbers only, which are traced.
      schedule: the course of the learning rate, the same for all methods:
        ``"constant"``; ``"warmup_cosine"``, which rises for a tenth of the steps and
        falls to zero like a cosine; or a function of the (traced) rate and the number
        of steps that returns a schedule.
      search: ``"grid"`` tries all rates; ``"bisect"`` tries four over the same range
        and halves the intervals around the best until they are as fine as three to a
        factor of ten, which spends less.
      baseline: the name of a method that others are set against: steps are counted to
        where its training loss ends. None for the method that ends lowest, and for
        steps to nine tenths of the way from the untrained loss to the lowest.
      out: a folder. What each method found is written there as it comes, in ``runs``,
        so that a run that was ended goes on when it is started again, and the report is
        written at the end. Outcomes are known by the task as it is traced, its data,
        the protocol, and the optimizer as it prints; delete ``runs`` to begin anew.
        Nothing is written where None.
      memory: the bytes that runs trained at once may take; half of what the device has
        where None.
      progress: whether to tell what is done, in a bar where standard output is a
        terminal and rich is installed, else in a line for each finished method.

    Returns:
      The table, the best optimizers, pictures and a report.

    Raises:
      ValueError: before anything is trained, if the loss of the initial parameters is
        not a finite number, a parameter has no gradient, batches end too early, a sweep
        is empty, or an optimizer cannot take a step.

    Example:
      >>> task = gradtx.compare.Task(
      ...     init=lambda key: jnp.ones(2),
      ...     loss=lambda params, batch, key: jnp.mean((params - batch) ** 2),
      ...     batches=jnp.zeros((8, 2)),
      ...     batch_size=4,
      ... )
      >>> result = gradtx.compare.run(
      ...     task,
      ...     {"sgd": gradtx.sgd},
      ...     steps=20,
      ...     seeds=1,
      ...     rates=[0.01, 0.1, 1.0],
      ...     progress=False,
      ... )
      >>> print("sgd" in str(result))
      True
    """
    chosen = methods(optimizers)
    asked = ask(
        task,
        chosen,
        protocol(steps, seeds, schedule, search),
        rates=rates,
        settings=settings,
        baseline=baseline,
        out=out,
        memory=memory,
    )
    comparison, _ = compare_all(asked, display(shown=progress))
    result = Result(comparison)
    if asked.out is not None:
        (asked.out / FIGURES).write_text(result.to_json(), encoding="utf-8")
    return result


def ask(
    task: Task,
    chosen: list[Method],
    fixed: Protocol,
    *,
    rates: Rates = None,
    settings: Settings | Mapping[str, Settings] | None = None,
    baseline: str | None = None,
    out: str | Path | None = None,
    memory: int | None = None,
) -> Asked:
    """Check what is asked for, cheap things first, and make the task ready."""
    found = checking.learning_rates(rates, chosen)
    swept = combinations(chosen, settings)
    names = [method.name for method in chosen]
    if baseline is not None and baseline not in names:
        raise InvalidArgument(
            f"baseline: there is no {baseline!r}, only {', '.join(names)}"
        )
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    limit = memory_limit() if memory is None else memory
    return Asked(Trainer(task, fixed), chosen, found, swept, baseline, folder, limit)


def requests(asked: Asked) -> list[Request]:
    """Trace one step of each method, and plan its sweep."""
    trainer, kind = asked.trainer, asked.trainer.protocol.search
    made = []
    for method, rates, settings in zip(
        asked.methods, asked.rates, asked.settings, strict=True
    ):
        first, build = first_points(rates, settings, kind), trainer.build(method.build)
        middle = at(first, len(line(first, 0)) // 2)
        tx = checking.check_method(trainer.task, trainer.start, build, method, middle)
        plan = trainer.plan(tx, width(first, kind), asked.memory)
        made.append(Request(method, build, first, tx, plan))
    return made


def compare_all(
    asked: Asked, told: Quiet, beside: Sequence[Callable[[], Any]] = ()
) -> tuple[Comparison, list[Any]]:
    """Sweep every method and time it.

    Args:
      asked: what to do.
      told: hears what is done.
      beside: functions that are called meanwhile, on another core if there is one.

    Returns:
      All figures, and what the functions gave.
    """
    trainer, wanted = asked.trainer, requests(asked)
    store = Store(asked.out, trainer)
    with told, ahead(trainer, wanted, store, beside) as made:
        sweeps = _sweep_all(trainer, wanted, made, store, told)
        others = [other.result() for other in made.beside]
        steps = [step.result() for step in made.steps]
        told.say("timing one step of each")
        points, builds = [s.point for s in sweeps], [r.build for r in wanted]
        seconds = step_seconds(trainer, steps, builds, points)
    best = [build(point) for build, point in zip(builds, points, strict=True)]
    costs = [
        Cost(state_bytes(trainer, tx), time, _chunks(trainer, request))
        for tx, time, request in zip(best, seconds, wanted, strict=True)
    ]
    task, fixed = trainer.task, trainer.protocol
    return compare(task, fixed, sweeps, best, costs, asked.baseline), others


def _sweep_all(
    trainer: Trainer, wanted: list[Request], made: Ahead, store: Store, told: Quiet
) -> list[Sweep]:
    """Sweep one method after the other; what is told grows when a grid does."""
    ticks = [trainer.parts * _chunks(trainer, request) for request in wanted]
    sweeps, done, kind = [], 0, trainer.protocol.search

    def tick() -> None:
        nonlocal done
        done += 1
        told.tick()

    def train(place: int, points: Points) -> Outcome:
        request, rates = wanted[place], points["learning_rate"]
        told.say(f"{request.method.title}: rates {rates[0]:.2g} to {rates[-1]:.2g}")
        chunks = request.plan.chunks(len(rates), trainer.protocol.seeds)
        told.total(done + trainer.parts * chunks + sum(ticks[place + 1 :]))
        program = made.sweeps[place].result()
        if program is None:  # what it was made for is in the store, but not all
            program = trainer.compile(request.build, points, request.plan)
        return trainer.run(program, points, tick)

    for place, request in enumerate(wanted):
        told.say(f"{request.method.title}: compiling")
        _say_chunks(trainer, request, told)
        one = store.kept(partial(train, place), request.tx)
        sweeps.append(search(one, request.method, request.first, kind))
        told.line(_finished(sweeps[-1]))
    return sweeps


def _chunks(trainer: Trainer, request: Request) -> int:
    """Give in how many chunks memory lets a method's first points be trained."""
    wanted = width(request.first, trainer.protocol.search)
    return request.plan.chunks(wanted, trainer.protocol.seeds)


def _say_chunks(trainer: Trainer, request: Request, told: Quiet) -> None:
    chunks, plan = _chunks(trainer, request), request.plan
    if chunks > 1:
        told.line(
            f"{request.method.title}: in {chunks} chunks of {plan.points * plan.seeds} "
            f"runs, as one needs about {plan.run_bytes / 2**20:.3g} MiB"
        )


def _finished(found: Sweep) -> str:
    loss, title = scores(found.outcome)[found.best], found.method.title
    if not np.isfinite(loss):
        return f"{title}: diverged at every rate"
    rate = found.point["learning_rate"]
    return f"{title}: final loss {loss:.4g} at a rate of {rate:.2g}"
