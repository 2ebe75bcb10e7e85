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
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

# Absent devices are compiled for, and one that is there is left alone.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import jax.numpy as jnp
import optax

import gradtx
from benchmarks import tables
from benchmarks.audit import targets
from benchmarks.audit.compiling import compile_step
from benchmarks.audit.moved import Work
from benchmarks.options import parser, some_of
from benchmarks.trees import CASES, FULL, QUICK, Shapes, parameters

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
    console = tables.console()
    for name in options.trees:
        shapes = TREES[name]()
        rows = [
            {"step": step, "by": way, **_compiled(step, way, shapes, target)}
            for step in options.steps
            for way in options.ways
        ]
        title = f"{len(shapes):,} leaves ({name}), {target.device}"
        console.print(tables.table_of(title, rows, names=2))


def _compiled(
    step: str, way: str, shapes: Shapes, target: targets.Target
) -> tables.Record:
    library, wrap = WAYS[way]
    found = figures(library, wrap(STEPS[step](library)), shapes, target)
    return {
        "kernels": found.kernels,
        "loops": found.loops,
        "trace, lower s": found.before,
        "compile s": found.seconds,
        "processor s": found.processor,
        "B/param": found.moved,
    }


def figures(
    library: ModuleType, tx: Any, shapes: Shapes, target: targets.Target
) -> Figures:
    """Compile a donated step of update and apply, and return its figures."""
    params = {k: jax.ShapeDtypeStruct(s, jnp.float32) for k, s in shapes.items()}
    found = compile_step(library, tx, params, params, target)
    stages, cost, count = found.stages, found.cost, parameters(shapes)
    costly = cost.one_loop(max) if cost.maybe else cost.most
    return Figures(
        cost.least.kernels,
        *(stages.trace + stages.lower, stages.compile, stages.processor),
        cost.least.moved / count,
        cost.loops,
        costly.times(1 / count)._replace(kernels=costly.kernels),
        found.temporary / count,
    )


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
