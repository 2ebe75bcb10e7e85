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
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import machine, pictures, tables
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.survival.formats import FORMATS, REFERENCE
from benchmarks.survival.speed import speed_table, speeds
from benchmarks.survival.training import STUDIES, Result, Study, train
from gradtx.compare.task import start

WIDE = 130  # columns of the tables where the terminal does not say

Found = dict[str, dict[str, Result]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = tables.console(WIDE)
    if options.speed:
        time_steps(console, options)
        return
    studies = {name: resized(STUDIES[name](), options) for name in options.tasks}
    titles = {name: described(study) for name, study in studies.items()}
    found: Found = {}
    for name, study in studies.items():
        found[name] = dict(trained(name, study, options.formats))
        console.print(loss_table(titles[name], found[name]))
        save(options, found, titles)
    console.print(f"Written to {options.out}: tables.md, precision.json, precision.png")


def time_steps(console: Console, options: argparse.Namespace) -> None:
    """Time a step of every format, and show and write what it takes."""
    found = speeds(options.formats, options.size, options.repeats)
    title = f"one matrix of {options.size:,} parameters: AdamW, one step"
    console.print(speed_table(title, found))
    rows = {name: one._asdict() for name, one in found.items()}
    record = {**machine.facts(), "size": options.size, "rows": rows}
    (options.out / "speed.json").write_text(json.dumps(record, indent=1) + "\n")


def resized(study: Study, options: argparse.Namespace) -> Study:
    """Return the study with the steps and seeds that are asked for."""
    asked = {"steps": options.steps, "seeds": options.seeds}
    given = {name: number for name, number in asked.items() if number}
    return study._replace(problem=study.problem._replace(**given))


def described(study: Study) -> str:
    """Say what is trained."""
    problem, task = study.problem, study.problem.task
    told = f"{problem.steps} steps of {task.batch_size}, {problem.seeds} seeds"
    return f"{task.name}: {told}, AdamW up to a rate of {study.rate:g}"


def trained(
    name: str, study: Study, formats: Sequence[str]
) -> Iterator[tuple[str, Result]]:
    """Train a task in every format, from one beginning."""
    problem = study.problem
    begin = start(problem.task, problem.steps, problem.seeds)
    shown = Console(stderr=True)
    for kept in track(formats, description=name, console=shown, transient=True):
        yield kept, train(study, begin, FORMATS[kept])


def loss_table(
    title: str, results: Mapping[str, Result], style: box.Box = box.SIMPLE
) -> Table:
    """Make the table of one task: a row for every format."""
    headings = (
        *("format", "weights B/param", "state B/param", "training loss"),
        *("validation loss", "off float32, in its sd"),
    )

    def told(values: np.ndarray) -> str:
        return f"{values.mean():.4f} ±{values.std(ddof=1):.4f}"

    reference = results.get(REFERENCE)
    rows = (
        [
            *(name, f"{x.weight_bytes:.2f}", f"{x.state_bytes:.2f}"),
            *(told(x.last), told(x.validation)),
            "" if reference is None else f"{x.away(reference):+.2f}",
        ]
        for name, x in results.items()
    )
    return tables.table(title, headings, rows, style)


def save(options: argparse.Namespace, found: Found, titles: dict[str, str]) -> None:
    """Write the figures, the tables and the picture of what there is by now."""
    facts = machine.facts()
    rows: list[dict[str, Any]] = [
        {
            "task": task,
            "format": name,
            "weight_bytes": x.weight_bytes,
            "state_bytes": x.state_bytes,
            "validation": x.validation.tolist(),
            "losses": x.losses.round(5).tolist(),
        }
        for task, results in found.items()
        for name, x in results.items()
    ]
    parts = [loss_table(titles[task], x, box.MARKDOWN) for task, x in found.items()]
    record = {**facts, "tasks": titles, "rows": rows}
    tables.write(options.out, "precision", record, parts, WIDE)
    caption = f"{facts['device']}, jax {facts['versions']['jax']}"
    pictures.formats(found, titles, caption, options.out / "precision.png")


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
