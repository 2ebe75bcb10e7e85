"""Time one step of every method: gradtx against optax and, where installed, PyTorch.

    python benchmarks/step_time.py
    python benchmarks/step_time.py --quick --cases leaf --methods adamw,lion

A step is update and apply, compiled by `gradtx.jit_step` or, for optax, by `jax.jit`,
with parameters and state donated. The libraries take turns in one run, each on its own
copy of the same tree, and with them a copy of as many numbers, whose speed is the
yardstick. With ``--eager`` it is `update` alone, called outside of `jit`. Tables go to
the terminal; tables.md, step_time.json and step_time.png to the folder of ``--out``.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import Any

# JAX would take most of a GPU for itself, and PyTorch needs room there too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# PyTorch's threads would go on spinning while the next contestant has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import optax
from rich import box
from rich.console import Console
from rich.progress import track

import gradtx
from benchmarks import machine, pictures, tables, torch_side
from benchmarks.measure import Libraries, Row, Tree, measure
from benchmarks.methods import METHODS
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.trees import CASES, FULL, QUICK, describe, random_tree

WIDE = 150  # columns of the tables where the terminal does not say


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = tables.console(WIDE)
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    alone = options.no_torch or options.eager
    torch, absence = (None, "") if alone else torch_side.load()
    if absence:
        console.print(absence)
    libraries = Libraries({"gradtx": gradtx, "optax": optax}, torch, options.eager)
    shapes = {case: CASES[case](options.sizes) for case in options.cases}
    titles = {case: describe(case, tree) for case, tree in shapes.items()}
    rows: list[Row] = []
    for case, shape in shapes.items():
        tree = Tree(case, random_tree(shape, 0, 0.02), random_tree(shape, 1, 1e-3))
        shown = Console(stderr=True)
        for name in track(options.methods, case, console=shown, transient=True):
            measured = measure(libraries, name, METHODS[name], tree, options.repeats)
            rows.append(measured)
        for table in shown_tables(rows, {case: titles[case]}):
            console.print(table)
    save(options, rows, titles)
    console.print(f"Written to {options.out}: tables.md, step_time.json, step_time.png")


def shown_tables(
    rows: Sequence[Row], titles: dict[str, str], style: box.Box = box.SIMPLE
) -> Iterator[Any]:
    """Yield the tables of some trees: their steps, and what came before the first."""
    for case, title in titles.items():
        held = [row for row in rows if row.case == case]
        yield tables.step_table(f"{title}: one step", held, style)
        if any(row.entries["gradtx"].stages for row in held):
            before = f"{title}: before it (gradtx / optax)"
            yield tables.stage_table(before, held, style)


def save(
    options: argparse.Namespace, rows: Sequence[Row], titles: dict[str, str]
) -> None:
    """Write the figures, the tables and the picture."""
    facts = machine.facts()
    record = {**facts, "cases": titles, "rows": rows}
    parts = shown_tables(rows, titles, box.MARKDOWN)
    tables.write(options.out, "step_time", record, parts, WIDE)
    versions = ", ".join(
        f"{x} {facts['versions'][x]}" for x in ("jax", "optax", "torch")
    )
    caption = (
        f"{facts['device']}, {facts['processor']}, {facts['cores']} cores; "
        f"{versions}; medians, with quartiles as whiskers"
    )
    pictures.steps(rows, titles, caption, options.out / "step_time.png")


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
