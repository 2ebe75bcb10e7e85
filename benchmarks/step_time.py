"""Time one step of every method: gradtx against optax and, where installed, PyTorch.

    python benchmarks/step_time.py
    python benchmarks/step_time.py --quick --cases leaf --methods adamw,lion
    python benchmarks/step_time.py --formats int8-state,bfloat16-compensated

A step is update and apply, compiled by `gradtx.jit_step` or, for optax, by `jax.jit`,
with parameters and state donated. The libraries take turns in one run, each on its own
copy of the same tree, and with them a copy of as many numbers, whose speed is the
yardstick. With ``--eager`` it is `update` alone, called outside of `jit`; with
``--formats`` AdamW's step on one matrix, in turn with float32's. Tables go to the
terminal; tables.md and step_time.json to the folder of ``--out``.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# JAX would take most of a GPU for itself, and PyTorch needs room there too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# PyTorch's threads would go on spinning while the next contestant has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import numpy as np

import gradtx
from benchmarks import programs, report
from benchmarks.formats import FORMATS, REFERENCE
from benchmarks.options import folder, parser, progress, some_of, whole
from benchmarks.programs import METHODS, RATE, Program
from benchmarks.timing import in_turn
from benchmarks.trees import FULL, QUICK, parameters, random_tree

WIDTH = 1024  # of the matrix in every format


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = report.console()
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    alone = options.no_torch or options.eager or options.formats
    if not alone and programs.load_torch() is None:
        console.print("PyTorch, for this device, is not installed: it is left out")
    measure = in_format if options.formats else by_all
    rows: list[report.Record] = []
    for case, shapes in options.trees.items():
        tree = random_tree(shapes, 0, 0.02), random_tree(shapes, 1, 1e-3)
        held = [
            {"case": case, **record}
            for name in progress(options.formats or options.methods, case)
            for record in measure(name, *tree, options)
        ]
        size = f"{len(shapes):,} leaves, {parameters(shapes):,} parameters"
        console.print(report.table(f"{case}: {size}", held, names=4))
        rows += held
        report.write(options.out, "step_time", rows, console)
    console.print(f"Written to {options.out}: tables.md, step_time.json")


def by_all(
    name: str, params: Any, grads: Any, options: argparse.Namespace
) -> Iterator[report.Record]:
    """Time a method in all libraries on one tree, and a copy, by a record of each."""
    method, count = METHODS[name], sum(x.size for x in params.values())
    runs = programs.contestants(
        method, params, grads, eager=options.eager, torch=not options.no_torch
    )
    for record in measured(runs, options.repeats, method.period):
        moved = 8 if record["by"] == "copy" else method.bound
        rate = moved * count / record["ms"][1] / 1e6
        yield {"method": name, **record, "must move B/param": moved, "GB/s": rate}


def in_format(
    name: str, params: Any, grads: Any, options: argparse.Namespace
) -> Iterator[report.Record]:
    """Time AdamW's step in a format beside float32's: two at a time in memory."""

    def program(name: str) -> Program:
        kept = FORMATS[name]
        given = jax.tree.map(lambda x: x.astype(kept.weights), (params, grads))
        return Program(gradtx, kept.build(RATE), *given)

    for record in measured({x: program(x) for x in (REFERENCE, name)}, options.repeats):
        yield {"method": "adamw", **record}


def measured(
    runs: Mapping[str, Any], repeats: int, period: int = 1
) -> list[report.Record]:
    """Time programs in turn, each beside the first one in the same round."""
    jitted = {name: run for name, run in runs.items() if isinstance(run, Program)}
    stages = programs.all_stages(jitted)
    seconds = in_turn(runs, repeats, period)
    jax.clear_caches()
    first, *_ = runs
    return [
        {
            "by": name,
            "how": runs[name].how,
            "ms": tuple(np.percentile(1e3 * times, (25, 50, 75)).tolist()),
            f"{first} / it": float(np.median(seconds[first] / times)),
            **stages.get(name, {}),
        }
        for name, times in seconds.items()
    ]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--cases", type=some_of(FULL), default=list(FULL), metavar="A,B")
    known = list(METHODS)
    add("--methods", type=some_of(known), default=known, metavar="A,B")
    told = f"of {', '.join(FORMATS)}, instead of methods and cases"
    add("--formats", type=some_of(FORMATS), metavar="A,B", help=told)
    add("--repeats", type=whole, help="rounds of turns (default 20; 5 with --quick)")
    add("--size", type=whole, help="parameters of the big leaf (default 16,777,216)")
    add("--out", type=folder, default="results/step_time", help="a folder")
    add("--quick", action="store_true", help="small trees and few rounds")
    add("--no-torch", action="store_true", help="leave PyTorch out")
    add("--eager", action="store_true", help="time tx.update outside of jit, no more")
    options = reader.parse_args(arguments)
    options.repeats = options.repeats or (5 if options.quick else 20)
    trees = QUICK if options.quick else FULL
    size = options.size or parameters(trees["leaf"])
    trees = trees | {"leaf": {"w": (size,)}}
    options.trees = {case: trees[case] for case in options.cases}
    if options.formats:
        options.trees = {"matrix": {"w": (max(size // WIDTH, 1), WIDTH)}}
    return options


if __name__ == "__main__":
    main()
