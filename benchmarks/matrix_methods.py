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
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import optax

import gradtx
from benchmarks import report
from benchmarks.audit import targets
from benchmarks.audit.compiling import compile_for
from benchmarks.options import parser, some_of
from benchmarks.trees import TREES, Shapes, parameters

RATE = 1e-3


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
    targets.only_compile()
    target = targets.load(options.target)
    shapes = TREES[options.tree]
    console, rows = report.console(), []
    for name in options.methods:
        library, make = METHODS[name]
        try:
            tx = make()
        except (ImportError, TypeError) as absence:  # it is an old program
            console.print(f"{name}: {absence}")
            continue
        rows.append({"method": name, **_figures(library, tx, shapes, target)})
    title = f"{len(shapes)} leaves ({options.tree}), {target.device}, {target.compiler}"
    console.print(report.table(title, rows))


def _figures(
    library: ModuleType, tx: Any, shapes: Shapes, target: targets.Target
) -> report.Record:
    params = {k: jax.ShapeDtypeStruct(s, jnp.float32) for k, s in shapes.items()}
    step, cost, scratch = compile_for(target, library, tx, params, params)
    # A loop of unknown rounds stands for what is done in some steps only.
    costly = cost.one_loop(max) if cost.maybe else cost.most
    count = parameters(shapes)
    return {
        "kernels between": cost.least.kernels,
        "kernels costly": costly.kernels,
        "B/param between": cost.least.moved / count,
        "B/param costly": costly.moved / count,
        "scratch B/param": scratch / count,
        **step.seconds,
    }


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
