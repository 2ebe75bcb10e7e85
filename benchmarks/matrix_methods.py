"""Compile a step of the matrix methods: kernels, bytes, scratch and seconds.

    python benchmarks/matrix_methods.py
    python benchmarks/matrix_methods.py --methods soap,muon --target tpu

The step of update and apply on the tree of a GPT-2 small is compiled for an H200 that
need not be there (or, with ``--target``, for a TPU v5e or the processor at hand), with
parameters and state donated; nothing is run. Embeddings and vectors go where each
method sends them by default. A step between leaves bases, roots or factors as they are;
a costly one finds them anew. The first step of SOAP, which finds eigenvectors, is
neither. Beside them stand optax's Muon and, where it is installed (pip install
distributed-kron), the program by the author of psgd-jax. Processor seconds count the
work of all threads that compile.
"""

import argparse
import importlib
import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

# Absent devices are compiled for, and one that is there is left alone.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import optax

import gradtx
from benchmarks import tables
from benchmarks.audit import targets
from benchmarks.options import parser, some_of
from benchmarks.small_leaves import TREES, Figures, figures

WIDE = 130  # columns of the tables where the terminal does not say
RATE = 1e-3
HEADINGS = (
    "method",
    *("kernels between", "costly", "B/param between", "costly", "scratch B/param"),
    *("trace, lower s", "compile s", "processor s"),
)


def _distributed_kron() -> Any:
    return importlib.import_module("distributed_kron").kron(RATE)


METHODS: dict[str, tuple[ModuleType, Callable[[], Any]]] = {
    "muon": (gradtx, lambda: gradtx.muon(RATE)),
    "muon of optax": (optax, lambda: optax.contrib.muon(RATE)),
    "normuon": (gradtx, lambda: gradtx.normuon(RATE)),
    "soap": (gradtx, lambda: gradtx.soap(RATE)),
    "kl_soap": (gradtx, lambda: gradtx.kl_soap(RATE)),
    "kl_shampoo": (gradtx, lambda: gradtx.kl_shampoo(RATE)),
    "shampoo": (gradtx, lambda: gradtx.shampoo(RATE, precondition_frequency=10)),
    "psgd_kron": (gradtx, lambda: gradtx.psgd_kron(RATE)),
    "distributed-kron": (optax, _distributed_kron),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    target = targets.load(options.target)
    shapes = TREES[options.tree]()
    console, rows = tables.console(WIDE), []
    for name in options.methods:
        library, make = METHODS[name]
        try:
            tx = make()
        except (ImportError, TypeError) as absence:  # it is an old program
            console.print(f"{name}: {absence}")
            continue
        rows.append([name, *_cells(figures(library, tx, shapes, target))])
    title = f"{len(shapes)} leaves ({options.tree}), {target.device}, {target.compiler}"
    console.print(tables.table(title, HEADINGS, rows))


def _cells(found: Figures) -> list[str]:
    return [
        f"{found.kernels:g}",
        f"{found.costly.kernels:g}",
        f"{found.moved:.0f}",
        f"{found.costly.moved:.0f}",
        f"{found.scratch:.1f}",
        *(f"{x:.1f}" for x in (found.before, found.seconds, found.processor)),
    ]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--tree", choices=list(TREES), default="gpt2", help="gpt2 unless said")
    add("--methods", type=some_of(METHODS), default=list(METHODS), metavar="A,B")
    add("--target", choices=list(targets.TARGETS), default="cuda")
    return reader.parse_args(arguments)


if __name__ == "__main__":
    main()
