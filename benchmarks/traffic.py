"""Audit what compiled steps move: bytes per parameter, against the fewest possible.

    python benchmarks/traffic.py
    python benchmarks/traffic.py --target cpu --rows adamw lion
    python benchmarks/traffic.py --target cuda --trees gpt2,1000,2000

Every row of the tests' catalogue and every wrapper is compiled, as a donated step of
update and apply, for the processor at hand and for devices that need not be there: a
TPU v5e (by libtpu) and an H200 (by jax[cuda13]). From the compiled text are read the
bytes that go from and to the device's main memory, loops with all their rounds and each
branch of a conditional on its own, and the kernels that are launched. Tables go to the
terminal; tables.md and traffic.json to the folder of ``--out``. Nothing is run, so no
figure depends on how busy the machine is, except the seconds; those of the processor
are the work of all threads on compiling, which a busy machine hardly lengthens.

With ``--trees`` these are steps of many leaves: if no other rows are asked for, AdamW
alone and after `clip_by_global_norm`, and both within `pack_small_leaves`.
"""

import argparse
import fnmatch
import sys
from collections.abc import Iterable, Iterator, Sequence

import optax
from rich.console import Console

import gradtx
from benchmarks import report
from benchmarks.audit import targets
from benchmarks.audit.cases import OF_TREES, Case, cases
from benchmarks.audit.compiling import figures
from benchmarks.options import folder, parser, progress, some_of, whole
from benchmarks.report import Record
from benchmarks.trees import TREES, Shapes

SIZE = 2**26  # more bytes than any cache or scratchpad holds
MANY_LEAVES = ["adamw", "clip_by_global_norm, adamw", "pack_small_leaves(*"]
FINE = 1.02  # how many times its lower bound a step may move
ROUNDING = 0.05  # bytes per parameter that are nothing: counts and other single numbers


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the audit."""
    targets.only_compile()
    known = cases()
    options = parse(arguments, known)
    console = report.console()
    rows: list[Record] = []
    for target in _loaded(options.target, console):
        for tree in options.trees:
            found: list[Record] = []
            for name in progress(options.rows, target.name):
                case = known[name]
                shapes = TREES[tree] if tree else case.leaf(options.size)
                found += _audited(target, case, shapes, theirs=not options.no_optax)
            of = f", {len(TREES[tree]):,} leaves ({tree})" if tree else ""
            title = f"{target.device}, {target.compiler}{of}"
            console.print(report.table(title, found, names=3))
            console.print(f"{target.device}: {summary(found)}.\n")
            rows += [{"target": target.name, "tree": tree, **row} for row in found]
            report.write(options.out, "traffic", rows, console)
    console.print(f"Written to {options.out}: tables.md, traffic.json")


def _loaded(names: list[str], console: Console) -> list[targets.Target]:
    """Return the targets whose compilers are there, and say which are not."""
    loaded = []
    for name in names:
        try:
            loaded.append(targets.load(name))
        except targets.Absent as absence:
            console.print(f"[bold]--target {name}[/]: {absence}")
    return loaded or sys.exit(1)


def _audited(
    target: targets.Target, case: Case, shapes: Shapes, *, theirs: bool
) -> Iterator[Record]:
    """Yield the records of a case: gradtx's, and optax's if it has the method."""
    for row in figures(case, gradtx, target, shapes):
        yield {"row": case.name, "by": "gradtx", **row}
    try:
        found = list(figures(case, optax, target, shapes)) if theirs else []
    except Exception as error:  # noqa: BLE001 - what it lacks, it says in many ways
        found = [{"why": f"{type(error).__name__}: {error}".splitlines()[0]}]
    for row in found:
        yield {"row": case.name, "by": "optax", **row}


def summary(rows: Iterable[Record]) -> str:
    """Say in a sentence how many ways are at their lower bound, and which are not."""
    ways = [row for row in rows if row["by"] == "gradtx" and row["bounded"]]
    high = [
        f"{row['row']} {row['way']}".strip()
        for row in ways
        if row["B/param"]
        > max(row["lower bound"] + ROUNDING, FINE * row["lower bound"])
    ]
    said = f"{len(ways) - len(high)} of {len(ways)} ways within 2% of their lower bound"
    return f"{said}; above it: {', '.join(high)}" if high else said


def parse(
    arguments: Sequence[str] | None, known: dict[str, Case]
) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader, every = parser(__doc__), list(targets.TARGETS)
    add = reader.add_argument
    told = "of cpu, tpu and cuda (default: all)"
    add("--target", type=some_of(every), default=every, metavar="A,B", help=told)
    add("--rows", nargs="+", metavar="ROW", help="names; * is allowed (default: all)")
    told = f"of {', '.join(TREES)}, instead of one leaf"
    add("--trees", type=some_of(TREES), default=[None], metavar="A,B", help=told)
    add("--size", type=whole, default=SIZE, help="parameters (default 67,108,864)")
    add("--out", type=folder, default="results/traffic", help="a folder")
    add("--no-optax", action="store_true", help="leave optax out")
    options = reader.parse_args(arguments)
    usual = [name for name in known if name not in OF_TREES]
    wanted = options.rows or (MANY_LEAVES if options.trees[0] else usual)
    chosen = {pattern: fnmatch.filter(known, pattern) for pattern in wanted}
    for pattern, names in chosen.items():
        if not names:
            every_name = ", ".join(map(repr, known))
            reader.error(f"argument --rows: {pattern!r} is none of {every_name}")
    options.rows = [name for name in known if any(name in x for x in chosen.values())]
    return options


if __name__ == "__main__":
    main()
