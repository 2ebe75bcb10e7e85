"""Time steps of the matrix methods on a CPU: gradtx beside AdamW, and heavyball.

    pip install torch heavyball
    python benchmarks/matrix_time.py
    python benchmarks/matrix_time.py --methods soap --rounds 3

The tree is a transformer of 10 M parameters in float32. The libraries take turns in one
run, each on its own copy of it. A turn is as many steps as pass between two costly
ones; the time of a step is the turn's mean. heavyball makes its step without its own
compiler, and merges and splits no axes; settings that both have are the same. Where it
is not installed it is left out.
"""

import argparse
import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

import gradtx
from benchmarks import report
from benchmarks.options import parser, some_of, whole
from benchmarks.programs import Program
from benchmarks.timing import in_turn
from benchmarks.trees import gpt2, parameters, random_tree

RATE, PERIOD, LONGEST = 1e-4, 10, 1024
SHAPES = gpt2(256, 2048, layers=12, positions=256)

OURS: dict[str, Callable[[], Any]] = {
    "adamw": lambda: gradtx.adamw(RATE),
    "muon": lambda: gradtx.muon(
        RATE, muon_weight_dimension_numbers=gradtx.matrices(random_tree(SHAPES, 0, 1))
    ),
    "soap": lambda: gradtx.soap(
        RATE, precondition_frequency=PERIOD, max_precond_dim=LONGEST
    ),
    "kl_shampoo": lambda: gradtx.kl_shampoo(
        RATE, precondition_frequency=PERIOD, max_precond_dim=LONGEST
    ),
    "shampoo": lambda: gradtx.shampoo(
        RATE, b2=0.999, eps=1e-8, precondition_frequency=PERIOD, target_dims=None
    ),
    "psgd_kron": lambda: gradtx.psgd_kron(
        RATE,
        preconditioner_update_probability=1 / PERIOD,
        max_size_triangular=LONGEST,
    ),
}
SOAP = {
    "precondition_frequency": PERIOD,
    "max_precond_dim": LONGEST,
    "merge_dims": False,
    "use_precond_schedule": False,
}
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "adamw": ("AdamW", {}),
    "soap": ("SOAP", SOAP),
    "kl_shampoo": ("KLShampoo", SOAP),
    "psgd_kron": (
        "PSGDKron",
        {
            "preconditioner_update_probability": 1 / PERIOD,
            "max_size_triangular": LONGEST,
        },
    ),
}


def ours(name: str) -> Program:
    """Return a step of gradtx, compiled and donated."""
    program = Program(
        gradtx, OURS[name](), random_tree(SHAPES, 0, 0.02), random_tree(SHAPES, 1, 1e-3)
    )
    program.stages()
    return program


class Theirs:
    """A step of heavyball."""

    def __init__(self, name: str) -> None:
        torch = importlib.import_module("torch")
        heavyball = importlib.import_module("heavyball")
        utils: Any = importlib.import_module("heavyball.utils")
        utils.compile_mode = None
        torch.set_num_threads(os.cpu_count() or 1)
        weights, grads = random_tree(SHAPES, 0, 0.02), random_tree(SHAPES, 1, 1e-3)
        params = []
        for key, x in weights.items():
            p = torch.nn.Parameter(torch.tensor(np.asarray(x)))
            p.grad = torch.tensor(np.asarray(grads[key]))
            params.append(p)
        self.grads = [p.grad for p in params]
        self.params = params
        kind, settings = THEIRS[name]
        self.optimizer = getattr(heavyball, kind)(params, lr=RATE, **settings)

    def __call__(self, steps: int) -> None:
        """Make so many steps."""
        for _ in range(steps):
            for p, g in zip(self.params, self.grads, strict=True):
                p.grad = g  # it may be taken away after a step
            self.optimizer.step()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    console = report.console()
    runs: dict[str, Any] = {}
    for name in dict.fromkeys(("adamw", *options.methods)):
        runs[f"gradtx {name}"] = ours(name)
        if name in THEIRS:
            try:
                runs[f"heavyball {name}"] = Theirs(name)
            except ImportError as absence:
                console.print(f"heavyball is left out: {absence}")
    turns = in_turn(runs, options.rounds, PERIOD)
    found = {key: float(np.median(seconds)) for key, seconds in turns.items()}
    title = f"{parameters(SHAPES):,} parameters, a step of {PERIOD} on average"
    rows = [_row(found, name) for name in OURS if f"gradtx {name}" in found]
    console.print(report.table(title, rows))


def _row(found: dict[str, float], name: str) -> report.Record:
    """Return the milliseconds of a method, and how they compare."""
    row: report.Record = {"method": name}
    for library in ("gradtx", "heavyball"):
        if seconds := found.get(f"{library} {name}"):
            row[f"{library}, ms"] = f"{1e3 * seconds:.0f}"
            of = seconds / found[f"{library} adamw"]
            row[f"{library}, of its AdamW"] = f"{of:.1f}"
    if theirs := found.get(f"heavyball {name}"):
        ratio = found[f"gradtx {name}"] / theirs
        row["gradtx / heavyball"] = f"{ratio:.2f}"
    return row


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--methods", type=some_of(OURS), default=list(OURS), metavar="A,B")
    add("--rounds", type=whole, default=5, help="turns of each (default 5)")
    return reader.parse_args(arguments)


if __name__ == "__main__":
    main()
