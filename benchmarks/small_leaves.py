"""Compile a step of many leaves: kernels and seconds, apart, packed and stacked.

    python benchmarks/small_leaves.py
    python benchmarks/small_leaves.py --trees gpt2 --steps muon --ways optax,gradtx

AdamW, alone and after `clip_by_global_norm`, is compiled for an H200 that need not be
there (or, with ``--target``, for a TPU v5e or the processor at hand): by optax, by
gradtx, and by gradtx within `pack_small_leaves`. So is, if asked for, Muon, which
stacks the matrices of one shape. Nothing is run. Processor seconds count the work of
all threads, which a busy machine hardly lengthens.
"""

import argparse
import math
import os
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

# Absent devices are compiled for, and one that is there is left alone.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import jax.numpy as jnp
import optax
from rich import box
from rich.console import Console
from rich.table import Table

import gradtx
from benchmarks.audit import targets
from benchmarks.audit.hlo import parse as parse_text
from benchmarks.audit.moved import Work, cost_of
from benchmarks.options import parser, some_of
from benchmarks.trees import CASES, FULL, QUICK, Shapes

WIDE = 100  # columns of the tables where the terminal does not say
RATE = 1e-3
TREES = {
    "gpt2": lambda: CASES["gpt2"](FULL),
    "narrow": lambda: CASES["gpt2"](QUICK),
    "1000": lambda: CASES["small"](FULL),
    "2000": lambda: CASES["small"](FULL._replace(leaves=2000)),
}
STEPS = {
    "adamw": lambda lib: lib.adamw(RATE),
    "clipped": lambda lib: lib.chain(lib.clip_by_global_norm(1.0), lib.adamw(RATE)),
    "muon": lambda lib: lib.contrib.muon(RATE),
}
WAYS = {
    "optax": (optax, lambda tx: tx),
    "gradtx": (gradtx, lambda tx: tx),
    "packed": (gradtx, gradtx.pack_small_leaves),
}


class Figures(NamedTuple):
    """What it takes to compile one step, and what it is then."""

    kernels: float
    before: float
    """Seconds to trace and to lower."""
    seconds: float
    """Seconds to compile."""
    processor: float
    """Seconds that all threads worked on that."""
    moved: float
    """Bytes per parameter."""
    loops: int
    costly: Work
    """What is done in a step that does what is done in some steps only."""
    scratch: float
    """Bytes per parameter."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    target = targets.load(options.target)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    for name in options.trees:
        shapes = TREES[name]()
        table = _table(f"{len(shapes):,} leaves ({name}), {target.device}")
        for step in options.steps:
            for way in options.ways:
                library, wrap = WAYS[way]
                tx = wrap(STEPS[step](library))
                _put(table, step, way, figures(library, tx, shapes, target))
        console.print(table)


def figures(
    library: ModuleType, tx: Any, shapes: Shapes, target: targets.Target
) -> Figures:
    """Compile a donated step of update and apply, and return its figures."""

    def on(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=target.sharding)

    params = {k: on(jax.ShapeDtypeStruct(s, jnp.float32)) for k, s in shapes.items()}
    state = jax.tree.map(on, jax.eval_shape(tx.init, params))

    def step(grads: Any, params: Any, state: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params)
        return library.apply_updates(params, updates), state

    jax.clear_caches()
    begun = time.perf_counter()
    lowered = jax.jit(step, donate_argnums=(1, 2)).lower(params, params, state)
    between, worked = time.perf_counter(), time.process_time()
    compiled = lowered.compile(target.options or None)
    ended, worked = time.perf_counter(), time.process_time() - worked
    cost = cost_of(parse_text(compiled.as_text()))
    work = cost.least
    count = sum(x.size for x in params.values())
    seconds = between - begun, ended - between
    costly = cost.one_loop(max) if cost.maybe else cost.most
    scratch = getattr(compiled.memory_analysis(), "temp_size_in_bytes", math.nan)
    moved = work.moved / count
    more = cost.loops, costly.times(1 / count)._replace(kernels=costly.kernels)
    return Figures(work.kernels, *seconds, worked, moved, *more, scratch / count)


def _table(title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    for heading in ("step", "by"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        *("kernels", "loops", "trace, lower s", "compile s", "processor s"),
        "B/param",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _put(table: Table, step: str, way: str, found: Figures) -> None:
    seconds = (found.before, found.seconds, found.processor)
    times = [f"{x:.1f}" for x in seconds]
    kernels, loops = f"{found.kernels:g}", f"{found.loops}"
    table.add_row(step, way, kernels, loops, *times, f"{found.moved:.1f}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    default = [name for name in TREES if name != "narrow"]
    add("--trees", type=some_of(TREES), default=default, metavar="A,B")
    small = [name for name in STEPS if name != "muon"]
    add("--steps", type=some_of(STEPS), default=small, metavar="A,B")
    add("--ways", type=some_of(WAYS), default=list(WAYS), metavar="A,B")
    add("--target", choices=list(targets.TARGETS), default="cuda")
    return reader.parse_args(arguments)


if __name__ == "__main__":
    main()
