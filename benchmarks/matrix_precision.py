"""Train with the state of matrix methods in 8 bits, against float32: the text task.

    python benchmarks/matrix_precision.py
    python benchmarks/matrix_precision.py --methods soap --steps 100

Each method at one rate, from the same initial weights and with the same batches for
both formats. What a method declares exact, factors and bases, stays in float32; the
means are kept in `int8`, also those of arrays that `quantize_state` would leave out as
small. The table goes to the terminal.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"

import gradtx
from benchmarks import report
from benchmarks.options import parser, some_of, whole
from benchmarks.precision import in_deviations, spread
from gradtx import compare
from gradtx.compare.builtin.matrix_methods import MATRIX_METHODS
from gradtx.compare.builtin.tasks import PROBLEMS
from gradtx.compare.measures import Row

SMALL = 256  # leaves below this stay as they are: here even the small ones are encoded
RATE = 0.01
"""The middle of the comparison's grid, for either method."""
METHODS = ("muon", "soap")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    built: dict[str, Callable[[Any], Any]] = {}
    for name in options.methods:
        build = MATRIX_METHODS[name].build
        built |= {name: build, f"{name}, int8": partial(_in_int8, build)}
    steps, seeds = options.steps, options.seeds
    task, rates = PROBLEMS["text"]().task, [options.rate]
    found = compare.run(task, built, steps=steps, seeds=seeds, rates=rates).comparison
    rows = {row.name: row for row in found.rows}
    lines = [_line(rows, name) for name in built if name in rows]
    title = f"{task.name}: {steps} steps, {seeds} seeds, a rate of {options.rate:g}"
    report.console().print(report.table(title, lines))


def _in_int8(build: Callable[[Any], Any], rate: Any) -> Any:
    return gradtx.quantize_state(build(rate), min_size=SMALL)


def _line(rows: dict[str, Row], name: str) -> report.Record:
    """Tell a run's loss, and how far it is from that of its method in float32."""
    row, reference = rows[name], rows.get(name.removesuffix(", int8"))
    told: report.Record = {
        "method, state": name,
        "B/param of state": f"{row.cost.state_bytes:.2f}",
        "validation loss": spread(row.losses),
    }
    if reference is not None and reference is not row:
        told["off float32, in its sd"] = in_deviations(row.losses, reference.losses)
    return told


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--methods", type=some_of(METHODS), default=list(METHODS), metavar="A,B")
    add("--steps", type=whole, default=200, help="steps (default 200)")
    few = range(2, 33)  # one has no spread
    add("--seeds", type=int, choices=few, metavar="N", default=3, help="2 to 32 (3)")
    add("--rate", type=float, default=RATE, help=f"learning rate (default {RATE})")
    return reader.parse_args(arguments)


if __name__ == "__main__":
    main()
