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
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

# Absent devices are compiled for, and one that is there is left alone.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import optax
from rich import box
from rich.console import Console
from rich.progress import Progress

import gradtx
from benchmarks import machine
from benchmarks.audit import cases, compiling, picture, tables, targets
from benchmarks.options import folder, parser, some_of, whole

WIDE = 190  # columns of the tables where the terminal does not say
SIZE = 2**26  # more bytes than any cache or scratchpad holds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the audit."""
    known = cases.cases()
    options = parse(arguments, known)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    loaded = _loaded(options.target, console)
    rows: list[tables.Row] = []
    for target in loaded:
        rows += _audited(target, [known[name] for name in options.rows], options)
        _show(console.print, rows, target)
        _save(options.out, rows, loaded)
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
    target: targets.Target, chosen: list[cases.Case], options: argparse.Namespace
) -> list[tables.Row]:
    rows = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        for case in chosen:
            progress.update(task, description=f"{target.name}: {case.name}")
            own = compiling.figures(case, gradtx, target, options.size)
            theirs, lacking = _optax(case, target, options)
            rows.append(tables.Row(target.name, case.name, own, theirs, lacking))
            progress.advance(task)
    return rows


def _optax(
    case: cases.Case, target: targets.Target, options: argparse.Namespace
) -> tuple[compiling.Figures | None, str]:
    if options.no_optax:
        return None, "left out"
    try:
        return compiling.figures(case, optax, target, options.size), ""
    except Exception as error:  # noqa: BLE001 - what it lacks, it says in many ways
        return None, f"{type(error).__name__}: {error}".splitlines()[0]


def _show(
    put: Callable[[Any], None],
    rows: Iterable[tables.Row],
    target: targets.Target,
    style: box.Box = box.SIMPLE,
) -> None:
    held = [row for row in rows if row.target == target.name]
    put(tables.table(_title(target), held, style))
    put(f"{target.device}: {tables.summary(held)}.\n")


def _title(target: targets.Target) -> str:
    return f"{target.device}, {target.compiler}"


def _save(out: Path, rows: list[tables.Row], loaded: Sequence[targets.Target]) -> None:
    """Write the figures, the tables and the picture of what there is by now."""
    facts = machine.facts()
    facts["versions"] |= {target.name: target.compiler for target in loaded}
    record = {**facts, "rows": [plain(row) for row in rows]}
    (out / "traffic.json").write_text(json.dumps(record, indent=1) + "\n")
    done = [x for x in loaded if any(row.target == x.name for row in rows)]
    with (out / "tables.md").open("w") as file:
        paper = Console(file=file, width=2 * WIDE)
        for target in done:
            _show(paper.print, rows, target, box.MARKDOWN)
    versions = facts["versions"]
    caption = f"jax {versions['jax']}, optax {versions['optax']}"
    titles = {target.name: _title(target) for target in done}
    picture.draw(rows, titles, caption, out / "traffic.png")


def plain(value: Any) -> Any:
    """Turn records into what JSON has, with the ratios that follow from them."""
    if isinstance(value, compiling.Passage):
        more = {"moved": value.moved, "ratio": value.ratio}
        return {**value._asdict(), **more}
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


# --- the command line --------------------------------------------------------


def parse(
    arguments: Sequence[str] | None, known: dict[str, cases.Case]
) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add(
        "--target",
        type=some_of(targets.TARGETS),
        default=list(targets.TARGETS),
        metavar="A,B",
        help="of cpu, tpu and cuda (default: all)",
    )
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
