"""Audit what compiled steps move: bytes per parameter, against the fewest possible.

    python benchmarks/traffic.py
    python benchmarks/traffic.py --target cpu --rows adamw,lion

Every row of the tests' catalogue and every wrapper is compiled, as a donated step of
update and apply, for the processor at hand and for devices that need not be there: a
TPU v5e (by libtpu) and an H200 (by jax[cuda13]). From the compiled text are read the
bytes that go from and to the device's main memory, loops with all their rounds and each
branch of a conditional on its own, and the kernels that are launched. Tables go to the
terminal; tables.md, traffic.json and traffic.png to the folder of ``--out``. Nothing is
run, so no figure depends on how busy the machine is, except the seconds.
"""

import argparse
import fnmatch
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Absent devices are compiled for, and one that is there is left alone.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import optax
from rich import box
from rich.console import Console
from rich.progress import track

import gradtx
from benchmarks import machine, pictures, tables
from benchmarks.audit import cases, compiling, targets
from benchmarks.audit.tables import Row, summary, table
from benchmarks.options import folder, parser, some_of, whole

WIDE = 190  # columns of the tables where the terminal does not say
SIZE = 2**26  # more bytes than any cache or scratchpad holds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the audit."""
    known = cases.cases()
    options = parse(arguments, known)
    console = tables.console(WIDE)
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    done: list[tuple[targets.Target, list[Row]]] = []
    for target in _loaded(options.target, console):
        done += [(target, list(_audited(target, known, options)))]
        for part in _told(*done[-1]):
            console.print(part)
        _save(options.out, done)
    console.print(f"Written to {options.out}: tables.md, traffic.json, traffic.png")


def _loaded(names: list[str], console: Console) -> list[targets.Target]:
    """Return the targets whose compilers are there, and say which are not."""
    loaded = []
    for name in names:
        try:
            loaded.append(targets.load(name))
        except targets.Absent as absence:
            console.print(f"[bold]--target {name}[/]: {absence}")
    if not loaded:
        sys.exit(1)
    return loaded


def _audited(
    target: targets.Target, known: dict[str, cases.Case], options: argparse.Namespace
) -> Iterator[Row]:
    shown = Console(stderr=True)
    for name in track(options.rows, target.name, console=shown, transient=True):
        own = compiling.figures(known[name], gradtx, target, options.size)
        yield Row(target.name, name, own, *_optax(known[name], target, options))


def _optax(
    case: cases.Case, target: targets.Target, options: argparse.Namespace
) -> tuple[compiling.Figures | None, str]:
    if options.no_optax:
        return None, "left out"
    try:
        return compiling.figures(case, optax, target, options.size), ""
    except Exception as error:  # noqa: BLE001 - what it lacks, it says in many ways
        return None, f"{type(error).__name__}: {error}".splitlines()[0]


def _told(
    target: targets.Target, rows: list[Row], style: box.Box = box.SIMPLE
) -> Iterator[Any]:
    yield table(_title(target), rows, style)
    yield f"{target.device}: {summary(rows)}.\n"


def _title(target: targets.Target) -> str:
    return f"{target.device}, {target.compiler}"


def _save(out: Path, done: list[tuple[targets.Target, list[Row]]]) -> None:
    """Write the figures, the tables and the picture of what there is by now."""
    facts = machine.facts()
    versions = facts["versions"]
    versions |= {target.name: target.compiler for target, _ in done}
    parts = [x for each in done for x in _told(*each, box.MARKDOWN)]
    record = {**facts, "rows": [row for _, rows in done for row in rows]}
    tables.write(out, "traffic", record, parts, WIDE)
    points = {_title(x): _points(rows) for x, rows in done}
    caption = f"jax {versions['jax']}, optax {versions['optax']}"
    pictures.traffic(points, caption, out / "traffic.png")


def _points(rows: list[Row]) -> list[pictures.Point]:
    return [
        (
            f"{row.name}: {own.label}" if own.label else row.name,
            *(own.floor, own.moved),
            row.optax.passages[place].moved if row.optax else None,
        )
        for row in rows
        for place, own in enumerate(row.gradtx.passages)
    ]


# --- the command line --------------------------------------------------------


def parse(
    arguments: Sequence[str] | None, known: dict[str, cases.Case]
) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    every = list(targets.TARGETS)
    told = "of cpu, tpu and cuda (default: all)"
    add("--target", type=some_of(every), default=every, metavar="A,B", help=told)
    add("--rows", nargs="+", default=["*"], metavar="ROW", help="names; * is allowed")
    add("--size", type=whole, default=SIZE, help="parameters (default 67,108,864)")
    add("--out", type=folder, default="results/traffic", help="a folder")
    add("--no-optax", action="store_true", help="leave optax out")
    options = reader.parse_args(arguments)
    chosen = {pattern: fnmatch.filter(known, pattern) for pattern in options.rows}
    strange = [pattern for pattern, names in chosen.items() if not names]
    if strange:
        few = ", ".join(repr(name) for name in known)
        reader.error(f"argument --rows: {strange[0]!r} is none of {few}")
    options.rows = [name for name in known if any(name in x for x in chosen.values())]
    return options


if __name__ == "__main__":
    main()
