"""Time one step of every method: gradtx against optax and, where installed, PyTorch.

    python benchmarks/step_time.py
    python benchmarks/step_time.py --quick --cases leaf --methods adamw,lion

A step is update and apply, compiled by `gradtx.jit_step` or, for optax, by `jax.jit`,
with parameters and state donated. The libraries take turns in one run, each on its own
copy of the same tree, and with them a copy of as many numbers, whose speed is the
yardstick. With ``--eager`` it is `update` alone, called outside of `jit`. Tables go to
the terminal; tables.md and step_time.json to the folder of ``--out``.
"""

import argparse
import os
from collections.abc import Sequence
from typing import Any

# JAX would take most of a GPU for itself, and PyTorch needs room there too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# PyTorch's threads would go on spinning while the next contestant has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import numpy as np
import optax

import gradtx
from benchmarks import report
from benchmarks.methods import METHODS, Method
from benchmarks.options import folder, parser, progress, some_of, whole
from benchmarks.programs import (
    TorchProgram,
    all_stages,
    copy_of,
    load_torch,
    program_of,
)
from benchmarks.timing import in_turn, quartiles
from benchmarks.trees import CASES, FULL, QUICK, parameters, random_tree


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = report.console()
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    alone = options.no_torch or options.eager
    torch = None if alone else load_torch()
    if torch is None and not alone:
        console.print("PyTorch, for this device, is not installed: it is left out")
    rows: list[report.Record] = []
    for case in options.cases:
        shapes = CASES[case](options.sizes)
        tree = random_tree(shapes, 0, 0.02), random_tree(shapes, 1, 1e-3)
        held = [
            {"case": case, "method": name, **record}
            for name in progress(options.methods, case)
            for record in measure(METHODS[name], *tree, options, torch)
        ]
        size = f"{len(shapes):,} leaves, {parameters(shapes):,} parameters"
        console.print(report.table(f"{case}: {size}", held, names=4))
        rows += held
        report.write(options.out, "step_time", rows, console)
    console.print(f"Written to {options.out}: tables.md, step_time.json")


def measure(
    method: Method, params: Any, grads: Any, options: argparse.Namespace, torch: Any
) -> list[report.Record]:
    """Time a method in all libraries on one tree, and a copy, by a record of each.

    The time of gradtx is over its own in the same round, so that below 1 gradtx wins;
    the bytes that must be moved are in the median time.
    """
    programs: dict[str, Any] = {
        lib.__name__: program_of(method, lib, params, grads, eager=options.eager)
        for lib in (gradtx, optax)
    }
    stages = {} if options.eager else all_stages(programs)
    if torch is not None and method.torch:
        programs["torch"] = TorchProgram(torch, method, params, grads)
    count = sum(x.size for x in params.values())
    programs["copy"] = copy_of(count)
    seconds = in_turn(programs, options.repeats, method.period)
    jax.clear_caches()
    records = []
    for name, times in seconds.items():
        moved = 8 if name == "copy" else method.bound
        records.append(
            {
                "by": name,
                "how": programs[name].how,
                "ms": quartiles(1e3 * times),
                "gradtx / it": float(np.median(seconds["gradtx"] / times)),
                "must move B/param": moved,
                "GB/s": moved * count / float(np.median(times)) / 1e9,
                **stages.get(name, {}),
            }
        )
    return records


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--cases", type=some_of(CASES), default=list(CASES), metavar="A,B")
    add("--methods", type=some_of(METHODS), default=list(METHODS), metavar="A,B")
    add("--repeats", type=whole, help="rounds of turns (default 20; 5 with --quick)")
    add("--size", type=whole, help="parameters of the big leaf (default 16,777,216)")
    add("--out", type=folder, default="results/step_time", help="a folder")
    add("--quick", action="store_true", help="small trees and few rounds")
    add("--no-torch", action="store_true", help="leave PyTorch out")
    add("--eager", action="store_true", help="time tx.update outside of jit, no more")
    options = reader.parse_args(arguments)
    options.repeats = options.repeats or (5 if options.quick else 20)
    sizes = QUICK if options.quick else FULL
    options.sizes = sizes._replace(leaf=options.size or sizes.leaf)
    return options


if __name__ == "__main__":
    main()
