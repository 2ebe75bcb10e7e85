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

# JAX would take most of a GPU for itself, and PyTorch needs room there too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# PyTorch's threads would go on spinning while the next contestant has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
from rich.console import Console
from rich.progress import track

from benchmarks import tables
from benchmarks.measure import measure
from benchmarks.methods import METHODS
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.programs import load_torch
from benchmarks.trees import CASES, FULL, QUICK, describe, random_tree


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = tables.console()
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    alone = options.no_torch or options.eager
    torch, absence = (None, "") if alone else load_torch()
    if absence:
        console.print(absence)
    rows: list[tables.Record] = []
    for case in options.cases:
        shapes = CASES[case](options.sizes)
        tree = random_tree(shapes, 0, 0.02), random_tree(shapes, 1, 1e-3)
        shown = Console(stderr=True)
        held = [
            {"case": case, "method": name, **record}
            for name in track(options.methods, case, console=shown, transient=True)
            for record in measure(
                METHODS[name], *tree, options.repeats, torch, eager=options.eager
            )
        ]
        console.print(tables.table_of(describe(case, shapes), held, names=4))
        rows += held
        tables.write(options.out, "step_time", rows, console)
    console.print(f"Written to {options.out}: tables.md, step_time.json")


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
