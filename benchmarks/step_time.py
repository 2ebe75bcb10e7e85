"""Time one step of every method: gradtx against optax and, where installed, PyTorch.

    python benchmarks/step_time.py
    python benchmarks/step_time.py --quick --cases leaf --methods adamw,lion

A step is update and apply, compiled by `gradtx.jit_step` or, for optax, by `jax.jit`,
with parameters and state donated. The libraries take turns in one run, each on its own
copy of the same tree, and beside them a copy of as many numbers, whose speed is the
yardstick. With ``--eager`` it is `update` alone, called outside of `jit`. Tables go to
the terminal; tables.md, step_time.json and step_time.png to the folder of ``--out``.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# JAX would take most of a GPU for itself, and PyTorch needs room there too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# PyTorch's threads would go on spinning while the next contestant has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import optax
from rich import box
from rich.console import Console
from rich.progress import Progress

import gradtx
from benchmarks import machine, picture, tables, torch_side
from benchmarks.measure import Libraries, Row, Tree, measure
from benchmarks.methods import METHODS
from benchmarks.options import folder, parser, some_of, whole
from benchmarks.trees import CASES, FULL, QUICK, describe, random_tree

WIDE = 150  # columns of the tables where the terminal does not say


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    alone = options.no_torch or options.eager
    torch, absence = (None, "") if alone else torch_side.load()
    if absence:
        console.print(absence)
    libraries = Libraries({"gradtx": gradtx, "optax": optax}, torch, options.eager)
    facts = machine.facts()
    rows, titles = run(options, libraries, console)
    save(options.out, facts, rows, titles)
    console.print(f"Written to {options.out}: tables.md, step_time.json, step_time.png")


def run(
    options: argparse.Namespace, libraries: Libraries, console: Console
) -> tuple[list[Row], dict[str, str]]:
    """Measure all methods on all trees, and show each tree's tables when done."""
    rows: list[Row] = []
    titles = {}
    total = len(options.cases) * len(options.methods)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        for case in options.cases:
            shapes = CASES[case](options.sizes)
            titles[case] = describe(case, shapes)
            tree = Tree(
                case, random_tree(shapes, 0, 0.02), random_tree(shapes, 1, 1e-3)
            )
            for name in options.methods:
                progress.update(task, description=f"{case}: {name}")
                rows.append(
                    measure(libraries, name, METHODS[name], tree, options.repeats)
                )
                progress.advance(task)
            show(console.print, rows, case, titles[case])
    return rows, titles


def show(
    put: Callable[[Any], None],
    rows: Sequence[Row],
    case: str,
    title: str,
    style: box.Box = box.SIMPLE,
) -> None:
    """Put out the tables of one tree: its steps, and what came before the first."""
    held = [row for row in rows if row.case == case]
    put(tables.step_table(f"{title}: one step", held, style))
    if any(row.entries["gradtx"].stages for row in held):
        put(tables.stage_table(f"{title}: before it (gradtx / optax)", held, style))


def save(
    out: Path, facts: dict[str, Any], rows: Sequence[Row], titles: dict[str, str]
) -> None:
    """Write the figures, the tables and the picture."""
    record = {**facts, "cases": titles, "rows": [plain(row) for row in rows]}
    (out / "step_time.json").write_text(json.dumps(record, indent=1) + "\n")
    with (out / "tables.md").open("w") as file:
        paper = Console(file=file, width=2 * WIDE)
        for case, title in titles.items():
            show(paper.print, rows, case, title, box.MARKDOWN)
    caption = (
        f"{facts['device']}, {facts['processor']}, {facts['cores']} cores; "
        f"jax {facts['versions']['jax']}, optax {facts['versions']['optax']}, "
        f"torch {facts['versions']['torch']}; medians, with quartiles as whiskers"
    )
    picture.draw(rows, titles, caption, out / "step_time.png")


def plain(value: Any) -> Any:
    """Turn records into dictionaries, as JSON has them."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


# --- the command line --------------------------------------------------------


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
