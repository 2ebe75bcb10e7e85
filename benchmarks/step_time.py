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
from types import ModuleType
from typing import Any

# JAX would take most of a GPU for itself, and PyTorch needs room there too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# PyTorch's threads would go on spinning while the next contestant has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import numpy as np
import optax
from rich.console import Console
from rich.progress import track

import gradtx
from benchmarks import tables
from benchmarks.methods import METHODS, Method
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.programs import (
    Eager,
    Program,
    TorchProgram,
    all_stages,
    load_torch,
    program_of,
)
from benchmarks.tables import Record
from benchmarks.timing import Copy, in_turn, quartiles
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
    rows: list[Record] = []
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


def measure(
    method: Method,
    params: Any,
    grads: Any,
    repeats: int,
    torch: ModuleType | None = None,
    *,
    eager: bool = False,
) -> list[Record]:
    """Time the stages, then the steps, of all libraries in turn.

    Args:
      method: how the libraries make it.
      params: what it steps on.
      grads: the gradients of every step.
      repeats: how many rounds.
      torch: PyTorch, if it takes part.
      eager: whether ``update`` is called outside of ``jit``.

    Returns:
      A record of each library and of a copy: the quartiles of its milliseconds for a
      step; the time of gradtx over its own in the same round, so that below 1 gradtx
      wins; and the bytes that must be moved in the median time.
    """
    make = Eager if eager else Program
    programs: dict[str, Any] = {
        lib.__name__: program_of(method, lib, params, grads, make)
        for lib in (gradtx, optax)
    }
    stages = {} if eager else all_stages(programs)
    if torch is not None and method.torch is not None:
        programs["torch"] = TorchProgram(torch, *method.torch, params, grads)
    count = sum(x.size for x in params.values())
    programs["copy"] = Copy(count)
    seconds = in_turn(programs, repeats, method.period)
    jax.clear_caches()
    records = []
    for name, times in seconds.items():
        moved = count * (Copy.bytes_per_number if name == "copy" else method.bound)
        records.append(
            {
                "by": name,
                "how": programs[name].kernel,
                "ms": quartiles(1e3 * times),
                "gradtx / it": float(np.median(seconds["gradtx"] / times)),
                "must move B/param": moved / count,
                "GB/s": moved / float(np.median(times)) / 1e9,
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
