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
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console

import gradtx
from benchmarks import pictures, report
from benchmarks.formats import FORMATS, REFERENCE, STUDIES, Kept, Result, train
from benchmarks.options import folder, parser, progress, some_of, whole
from benchmarks.programs import Program
from benchmarks.timing import in_turn, quartiles
from benchmarks.trees import nbytes, random_tree
from gradtx.compare.task import start

RATE, WIDTH = 1e-3, 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = report.console()
    (time_steps if options.speed else train_all)(console, options)


def time_steps(console: Console, options: argparse.Namespace) -> None:
    """Time a step of every format, and show and write what it takes."""
    rows = [speed(name, options.size, options.repeats) for name in options.formats]
    title = f"one matrix of {options.size:,} parameters: AdamW, one step"
    console.print(report.table(title, rows))
    report.write(options.out, "speed", rows, console)


def speed(name: str, size: int, repeats: int) -> report.Record:
    """Time the step of a format, in turn with float32's: two at a time in memory.

    The ratio is the median of those of the rounds; the bytes are of weights and state,
    and scratch is what the compiled step asks for besides.
    """
    pair = {x: _program(FORMATS[x], size) for x in (REFERENCE, name)}
    stages = {x: program.stages() for x, program in pair.items()}
    seconds = in_turn(pair, repeats)
    params, _ = carry = pair[name].carry
    count = params["w"].size
    return {
        "format": name,
        "ms": quartiles(1e3 * seconds[name]),
        "/ float32": float(np.median(seconds[name] / seconds[REFERENCE])),
        "B/param": nbytes(carry) / count,
        "scratch B/param": stages[name]["temp bytes"] / count,
    }


def _program(kept: Kept, size: int) -> Program:
    """Return the step of one format on one matrix."""
    shapes = {"w": (max(size // WIDTH, 1), WIDTH)}
    params, grads = (
        {k: x.astype(kept.weights) for k, x in random_tree(shapes, i, scale).items()}
        for i, scale in ((0, 1.0), (1, 0.01))
    )
    return Program(gradtx, kept.build(RATE), params, grads)


def train_all(console: Console, options: argparse.Namespace) -> None:
    """Train every task in every format; show and write what there is after each."""
    found: dict[str, dict[str, Result]] = {}
    rows: list[report.Record] = []
    for name in options.tasks:
        make, rate = STUDIES[name]
        asked = {"steps": options.steps, "seeds": options.seeds}
        problem = make()._replace(**{key: n for key, n in asked.items() if n})
        task, steps, seeds = problem.task, problem.steps, problem.seeds
        told = f"{steps} steps of {task.batch_size}, {seeds} seeds"
        title = f"{task.name}: {told}, AdamW up to a rate of {rate:g}"
        begin = start(task, steps, seeds)
        results = found[title] = {
            each: train(problem, rate, begin, FORMATS[each])
            for each in progress(options.formats, name)
        }
        held = list(_records(name, results))
        console.print(report.table(title, held, names=2))
        rows += held
        report.write(options.out, "precision", rows, console)
        pictures.formats(found, options.out / "precision.png")
    console.print(f"Written to {options.out}: tables.md, precision.json, precision.png")


def _records(task: str, results: dict[str, Result]) -> Iterator[report.Record]:
    """Yield a record of every format; lists are for the file alone.

    Seeds begin alike and see the same batches in all formats, but the deviation is that
    between the seeds: what chance does anyway.
    """

    def told(values: np.ndarray) -> str:
        return f"{values.mean():.4f} ±{values.std(ddof=1):.4f}"

    reference = results.get(REFERENCE)
    for name, x in results.items():
        last = max(x.losses.shape[1] // 10, 1)  # over so many steps a loss is averaged
        record = {
            "task": task,
            "format": name,
            "weights B/param": x.weight_bytes,
            "state B/param": x.state_bytes,
            "training loss": told(x.losses[:, -last:].mean(axis=1)),
            "validation loss": told(x.validation),
            "validation": x.validation.tolist(),
            "losses": x.losses.round(5).tolist(),
        }
        if reference is not None:
            off = x.validation.mean() - reference.validation.mean()
            away = f"{off / reference.validation.std(ddof=1):+.2f}"
            record["off float32, in its sd"] = away
        yield record


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
