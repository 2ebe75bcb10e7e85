"""Train in low precision: AdamW in float32 against every format of weights and state.

    python benchmarks/precision.py
    python benchmarks/precision.py --tasks digits --formats float32,int8-state

The digits and the text of the comparison, and a larger transformer; each format from
the same initial weights with the same batches, at least three seeds. Tables go to the
terminal; tables.md, precision.json and precision.png to the folder of ``--out``. The
networks compute in float32 from the weights as they are kept. How long a step takes is
told by ``step_time.py --formats``.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks import pictures, report
from benchmarks.formats import FORMATS, REFERENCE, STUDIES, bytes_of, train
from benchmarks.options import folder, parser, progress, some_of, whole
from gradtx.compare.task import Task
from gradtx.compare.training import Outcome


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every task in every format; show and write what there is after each."""
    options = parse(arguments)
    console = report.console()
    found: dict[str, dict[str, Outcome]] = {}
    rows: list[report.Record] = []
    asked = {"steps": options.steps, "seeds": options.seeds}
    for name in options.tasks:
        make, rate = STUDIES[name]
        problem = make()._replace(**{key: n for key, n in asked.items() if n})
        task = problem.task
        told = f"{problem.steps} steps of {task.batch_size}, {problem.seeds} seeds"
        title = f"{task.name}: {told}, AdamW up to a rate of {rate:g}"
        results = found[title] = {
            each: train(problem, rate, FORMATS[each])
            for each in progress(options.formats, name)
        }
        held = [
            {"task": name, "format": each, **record(task, each, results)}
            for each in results
        ]
        console.print(report.table(title, held, names=2))
        rows += held
        report.write(options.out, "precision", rows, console)
        pictures.formats(found, options.out / "precision.png")
    console.print(f"Written to {options.out}: tables.md, precision.json, precision.png")


def record(task: Task, name: str, results: dict[str, Outcome]) -> report.Record:
    """Return the figures of a format; lists are for the file alone.

    Seeds begin alike and see the same batches in all formats, but the deviation is that
    between the seeds: what chance does anyway.
    """
    (losses,), (ends,) = results[name].train, results[name].final
    last = max(losses.shape[1] // 10, 1)  # over so many steps a loss is averaged
    reference = results[REFERENCE].final
    weights, state = bytes_of(task, FORMATS[name])
    return {
        "weights B/param": weights,
        "state B/param": state,
        "training loss": spread(losses[:, -last:].mean(axis=1)),
        "validation loss": spread(ends),
        "off float32, in its sd": in_deviations(ends, reference),
        "validation": ends.tolist(),
        "losses": losses.astype(float).round(5).tolist(),
    }


def in_deviations(losses: np.ndarray, reference: np.ndarray) -> str:
    """Return how far off a mean is, in the deviations between the reference's seeds."""
    return f"{(losses.mean() - reference.mean()) / reference.std(ddof=1):+.2f}"


def spread(values: np.ndarray) -> str:
    """Write a mean, and the deviation between the seeds."""
    return f"{values.mean():.4f} ±{values.std(ddof=1):.4f}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--tasks", type=some_of(STUDIES), default=list(STUDIES), metavar="A,B")
    add("--formats", type=some_of(FORMATS), default=list(FORMATS), metavar="A,B")
    add("--steps", type=whole, help="steps, instead of each task's own")
    add("--seeds", type=whole, help="seeds, at least 2 (default 3)")
    add("--out", type=folder, default="results/precision", help="a folder")
    options = reader.parse_args(arguments)
    options.formats = list(dict.fromkeys((REFERENCE, *options.formats)))
    if options.seeds == 1:
        reader.error("argument --seeds: a spread needs at least 2")
    return options


if __name__ == "__main__":
    main()
