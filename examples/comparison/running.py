"""Run a comparison: sweep every method, time it, and tell what is done meanwhile."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from comparison.ahead import Ahead, ahead
from comparison.measures import Comparison, compare
from comparison.methods import METHODS, Method
from comparison.pictures import draw_all
from comparison.report import terminal_table, write_figures, write_report
from comparison.sweep import Sweep, scores, sweep_method
from comparison.tasks import TASKS, Task
from comparison.timing import state_bytes, step_seconds
from comparison.training import Trainer

SO_FAR = "sweeps_so_far.json"


def run_comparison(
    name: str,
    optimizers: list[str],
    folder: Path,
    *,
    quick: bool = False,
    steps: int | None = None,
    seeds: int | None = None,
) -> None:
    """Run the comparison and write its report.

    Args:
      name: of the task.
      optimizers: the names of the methods.
      folder: where the report, the pictures and the figures are written.
      quick: whether everything is smaller and shorter.
      steps: training steps of each run; the task's own if None.
      seeds: seeds for each learning rate; the task's own if None.

    Raises:
      OSError: if the data of the task cannot be read.
    """
    begun = time.perf_counter()
    console = Console(width=None if Console().is_terminal else 110)
    task = TASKS[name](quick=quick)
    task = task._replace(steps=steps or task.steps, seeds=seeds or task.seeds)
    methods = [METHODS[method] for method in optimizers]
    comparison, pictures = run(task, methods, folder, console)
    report = write_report(comparison, pictures, folder)
    write_figures(comparison, folder)
    (folder / SO_FAR).unlink()
    console.print(terminal_table(comparison))
    spent = time.perf_counter() - begun
    console.print(f"Report, guide and pictures: {report} ({spent:.0f} s)")


def run(
    task: Task, methods: list[Method], folder: Path, console: Console
) -> tuple[Comparison, list[str]]:
    """Sweep every method, time them, and draw the pictures."""
    bar = Progress(
        TextColumn("{task.description:42}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        console=console,
    )
    with bar:
        shown = bar.add_task("preparing the data")
        say = partial(bar.update, shown)
        trainer = Trainer(task)
        with ahead(trainer, methods) as programs:
            done = partial(told, folder, bar)
            sweeps = sweep_all(trainer, methods, programs, bar, shown, done)
            paths = [path.result() for path in programs.paths]
            steps = [step.result() for step in programs.steps]
        say(description="timing one step of each")
        rates = [float(sweep.outcome.rates[sweep.best]) for sweep in sweeps]
        built = [m.build(rate) for m, rate in zip(methods, rates, strict=True)]
        seconds = step_seconds(trainer, steps, built)
        sizes = [state_bytes(trainer, method) for method in methods]
        comparison = compare(task, sweeps, sizes, seconds)
        say(description="drawing")
        return comparison, draw_all(comparison, paths, folder)


def sweep_all(
    trainer: Trainer,
    methods: list[Method],
    programs: Ahead,
    bar: Progress,
    shown: TaskID,
    done: Callable[[list[Sweep]], None],
) -> list[Sweep]:
    """Sweep one method after the other; the bar grows when a grid does.

    ``done`` is told after each method what there is by then.
    """
    parts = trainer.chunks
    bar.update(shown, total=len(methods) * parts)
    sweeps, ticks = [], 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        bar.advance(shown)

    for place, method in enumerate(methods, start=1):
        bar.update(shown, description=f"{method.title}: compiling")

        def say(text: str, place: int = place) -> None:
            grids = -(-(ticks + 1) // parts)  # those begun, this one among them
            total = parts * (grids + len(methods) - place)
            bar.update(shown, description=text, total=total)

        program = programs.sweeps[place - 1].result()
        sweeps.append(sweep_method(trainer, method, program, tick, say))
        done(sweeps)
    return sweeps


def told(folder: Path, bar: Progress, sweeps: list[Sweep]) -> None:
    """Write what there is by now, so that a run that is ended leaves it.

    Where there is no terminal for the bar, say a line for each method too.
    """
    found = {
        sweep.method.name: {
            "learning_rates": sweep.outcome.rates.tolist(),
            "validation_loss": [
                float(x) if np.isfinite(x) else None for x in scores(sweep.outcome)
            ],
        }
        for sweep in sweeps
    }
    (folder / SO_FAR).write_text(json.dumps(found, indent=1) + "\n")
    if not bar.console.is_terminal:
        last = sweeps[-1]
        loss, rate = scores(last.outcome)[last.best], last.outcome.rates[last.best]
        bar.console.print(
            f"{last.method.title}: validation loss {loss:.4g} at a rate of {rate:.2g}"
        )
