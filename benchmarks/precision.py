"""Train in few bits: AdamW in float32 against every format of weights and state.

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
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress

from benchmarks import machine
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.survival import showing, speed
from benchmarks.survival.formats import FORMATS
from benchmarks.survival.training import STUDIES, Result, Study, train
from gradtx.compare.task import start

WIDE = 130  # columns of the tables where the terminal does not say

Found = dict[str, dict[str, Result]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    if options.speed:
        time_steps(console, options)
        return
    studies = {name: resized(STUDIES[name](), options) for name in options.tasks}
    titles = {name: described(study) for name, study in studies.items()}
    found: Found = {}
    for name, results in run(studies, options.formats):
        found[name] = results
        console.print(showing.table(titles[name], results, box.SIMPLE))
        save(options.out, found, titles)
    console.print(f"Written to {options.out}: tables.md, precision.json, precision.png")


def time_steps(console: Console, options: argparse.Namespace) -> None:
    """Time a step of every format, and show and write what it takes."""
    found = speed.speeds(options.formats, options.size, options.repeats)
    title = f"one matrix of {options.size:,} parameters: AdamW, one step"
    console.print(speed.table(title, found, box.SIMPLE))
    rows = {name: one._asdict() for name, one in found.items()}
    record = {**machine.facts(), "size": options.size, "rows": rows}
    (options.out / "speed.json").write_text(json.dumps(record, indent=1) + "\n")


def resized(study: Study, options: argparse.Namespace) -> Study:
    """Return the study with the steps and seeds that are asked for."""
    asked = {"steps": options.steps, "seeds": options.seeds}
    return study._replace(
        problem=study.problem._replace(**{k: x for k, x in asked.items() if x})
    )


def described(study: Study) -> str:
    """Say what is trained."""
    problem, task = study.problem, study.problem.task
    return (
        f"{task.name}: {problem.steps} steps of {task.batch_size}, {problem.seeds} "
        "seeds, "
        f"AdamW up to a rate of {study.rate:g}"
    )


def run(
    studies: Mapping[str, Study], formats: Sequence[str]
) -> Iterator[tuple[str, dict[str, Result]]]:
    """Train every task in every format, and yield each task when it is done."""
    total = len(studies) * len(formats)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("", total=total)
        for task, study in studies.items():
            problem = study.problem
            begin = start(problem.task, problem.steps, problem.seeds)
            results = {}
            for name in formats:
                progress.update(shown, description=f"{task}: {name}")
                results[name] = train(study, begin, FORMATS[name])
                progress.advance(shown)
            yield task, results


def save(out: Path, found: Found, titles: Mapping[str, str]) -> None:
    """Write the figures, the tables and the picture of what there is by now."""
    facts = machine.facts()
    rows = [
        {
            "task": task,
            "format": name,
            "weight_bytes": result.weight_bytes,
            "state_bytes": result.state_bytes,
            "validation": result.validation.tolist(),
            "losses": result.losses.round(5).tolist(),
        }
        for task, results in found.items()
        for name, result in results.items()
    ]
    record = {**facts, "tasks": dict(titles), "rows": rows}
    (out / "precision.json").write_text(json.dumps(record) + "\n")
    with (out / "tables.md").open("w") as file:
        paper = Console(file=file, width=2 * WIDE)
        for task, results in found.items():
            paper.print(showing.table(titles[task], results, box.MARKDOWN))
    caption = f"{facts['device']}, jax {facts['versions']['jax']}"
    showing.draw(found, titles, caption, out / "precision.png")


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
