"""Train in low precision: AdamW in float32 against every format of weights and state.

    python benchmarks/precision.py
    python benchmarks/precision.py --tasks digits --formats float32,int8-state
    python benchmarks/precision.py --speed

The digits and the text of the comparison, and a larger transformer; each format from
the same initial weights with the same batches, at least three seeds. Tables go to the
terminal; tables.md, precision.json and precision.png to the folder of ``--out``. The
networks compute in float32 from the weights as they are kept. With ``--speed`` nothing
is trained: a step of every format is timed, in turn with float32's.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import pictures, tables
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.survival.formats import FORMATS, REFERENCE
from benchmarks.survival.speed import speeds
from benchmarks.survival.training import STUDIES, Result, Study, train
from gradtx.compare.task import start


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = tables.console()
    (time_steps if options.speed else train_all)(console, options)


def time_steps(console: Console, options: argparse.Namespace) -> None:
    """Time a step of every format, and show and write what it takes."""
    rows = speeds(options.formats, options.size, options.repeats)
    title = f"one matrix of {options.size:,} parameters: AdamW, one step"
    console.print(tables.table_of(title, rows))
    tables.write(options.out, "speed", rows, console)


def train_all(console: Console, options: argparse.Namespace) -> None:
    """Train every task in every format; show and write what there is after each."""
    found: dict[str, dict[str, Result]] = {}
    titles: dict[str, str] = {}
    for name in options.tasks:
        study = _resized(STUDIES[name](), options)
        titles[name] = _described(study)
        found[name] = _trained(name, study, options.formats)
        console.print(loss_table(titles[name], found[name]))
        tables.write(options.out, "precision", _records(found), console)
        pictures.formats(found, titles, options.out / "precision.png")
    console.print(f"Written to {options.out}: tables.md, precision.json, precision.png")


def _resized(study: Study, options: argparse.Namespace) -> Study:
    """Return the study with the steps and seeds that are asked for."""
    asked = {"steps": options.steps, "seeds": options.seeds}
    given = {name: number for name, number in asked.items() if number}
    return study._replace(problem=study.problem._replace(**given))


def _described(study: Study) -> str:
    problem, task = study.problem, study.problem.task
    told = f"{problem.steps} steps of {task.batch_size}, {problem.seeds} seeds"
    return f"{task.name}: {told}, AdamW up to a rate of {study.rate:g}"


def _trained(name: str, study: Study, formats: Sequence[str]) -> dict[str, Result]:
    """Train a task in every format, from one beginning."""
    problem = study.problem
    begin = start(problem.task, problem.steps, problem.seeds)
    shown = Console(stderr=True)
    kept = track(formats, description=name, console=shown, transient=True)
    return {each: train(study, begin, FORMATS[each]) for each in kept}


def loss_table(title: str, results: Mapping[str, Result]) -> Table:
    """Make the table of one task: a row for every format."""

    def told(values: np.ndarray) -> str:
        return f"{values.mean():.4f} ±{values.std(ddof=1):.4f}"

    reference = results.get(REFERENCE)
    rows = [
        {
            "format": name,
            "weights B/param": x.weight_bytes,
            "state B/param": x.state_bytes,
            "training loss": told(x.last),
            "validation loss": told(x.validation),
            "off float32, in its sd": reference and f"{x.away(reference):+.2f}",
        }
        for name, x in results.items()
    ]
    return tables.table_of(title, rows)


def _records(found: Mapping[str, Mapping[str, Result]]) -> list[tables.Record]:
    """Return the results as JSON has them."""
    return [
        {
            "task": task,
            "format": name,
            **result._asdict(),
            "validation": result.validation.tolist(),
            "losses": result.losses.round(5).tolist(),
        }
        for task, results in found.items()
        for name, result in results.items()
    ]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--tasks", type=some_of(STUDIES), default=list(STUDIES), metavar="A,B")
    add("--formats", type=some_of(FORMATS), default=list(FORMATS), metavar="A,B")
    add("--steps", type=whole, help="steps, instead of each task's own")
    add("--seeds", type=whole, help="seeds, at least 2 (default 3)")
    add("--speed", action="store_true", help="time the steps, and train nothing")
    add("--size", type=whole, default=2**24, help="parameters to time (16,777,216)")
    add("--repeats", type=whole, default=11, help="rounds of turns (default 11)")
    add("--out", type=folder, default="results/precision", help="a folder")
    options = reader.parse_args(arguments)
    if options.seeds == 1:
        reader.error("argument --seeds: a spread needs at least 2")
    return options


if __name__ == "__main__":
    main()
