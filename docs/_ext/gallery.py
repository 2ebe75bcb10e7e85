"""The gallery: a page for each method of the catalogue, with its pictures."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catalogue

import gradtx
from _ext import drawings, runs
from _ext.arguments import ROLE, cell, settings
from _ext.docstrings import equations

DOCS = Path(__file__).parents[1]
ADAM = 8  # bytes of state for a parameter
URL = re.compile(r"https?://[^\s,;)]+")
REFERRED = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")
ABOUT = f"""# Gallery

A page for each method of the tests' catalogue: its equations, settings, state, memory
traffic and source, when to use it and what to mind, its path on two functions and its
training loss on handwritten digits. Each path and each loss is at the best of
{len(runs.FACTORS)} rates, from one start and one seed, and nothing else is tuned: it
shows how a method moves and not how good it is. For that, see
[how to choose](/choosing.md) and [outcomes](/outcomes.md).
"""


def pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each method, and the one that lists them by family."""
    rows, found = runs.shown(), runs.recorded()
    traffic = measured_traffic()
    for row in rows:
        text = _page(row, found[row.name], traffic)
        yield f"gallery/{address(row)}.md", text
    lists = "\n".join(_family(family, rows) for family in catalogue.FAMILIES)
    names = "\n".join(address(row) for row in rows)
    tree = f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    yield "gallery/index.md", f"{ABOUT}\n{lists}\n{tree}"


def address(row: catalogue.Row) -> str:
    """Return the name of a row's page."""
    return re.sub(r"\W+", "-", row.name)


def _family(family: Any, rows: list[catalogue.Row]) -> str:
    title = (inspect.getdoc(family) or "").splitlines()[0].rstrip(".")
    lines = [f"## {title}", "", "::::{grid} 1 2 3 3", ":gutter: 2", ""]
    for row in (x for x in rows if x in family.ROWS):
        lines += [
            f":::{{grid-item-card}} {row.name}",
            f":link: {address(row)}",
            ":link-type: doc",
            f"{row.card.when if row.card else summary(row)}  ",
            f"{row.state_bytes:g} bytes of state",
            ":::",
        ]
    return "\n".join([*lines, "::::", ""])


def method(row: catalogue.Row) -> Any:
    """Return the public function that a row is about."""
    own = inspect.isfunction(row.make) and row.make.__module__.startswith("gradtx.")
    name = row.make.__name__ if own else row.name.partition(",")[0].replace(" ", "_")
    return _public(name) or gradtx.chain


def _public(name: str) -> Any:
    return getattr(gradtx, name, None) or getattr(gradtx.contrib, name, None)


def summary(row: catalogue.Row) -> str:
    """Return the first paragraph of a method's docstring."""
    first = (inspect.getdoc(method(row)) or "").partition("\n\n")[0]
    return cell(" ".join(first.split()))


def _page(row: catalogue.Row, found: dict[str, Any], traffic: dict[str, str]) -> str:
    function = method(row)
    about = inspect.getdoc(function) or ""
    name = function.__name__
    door = "gradtx" if hasattr(gradtx, name) else "gradtx.contrib"
    lines = [f"# {row.name}", "", summary(row), "", f"{{py:obj}}`{door}.{name}`", ""]
    lines += [drawings.pictures(row.name, found), "", "## Equations", ""]
    lines += [row.card.equations, ""] if row.card else []
    for block in (x for x in _through(about, equations) if "gradtx." not in x):
        lines += ["```text", ROLE.sub(r"\1", block), "```", ""]
    lines += ["## Made as here", "", "```python", repr(row.build()), "```", ""]
    lines += ["## When, and what to mind", "", *_when(row, about), ""]
    lines += ["## Cost", "", *_cost(row, name, traffic), "", "## Settings", ""]
    lines += [*settings(function), "", "## Source", "", _source(row, about), ""]
    return "\n".join(lines)


def _through(about: str, read: Any, depth: int = 2) -> Any:
    """Read a docstring, or those that it refers to before its arguments."""
    found = read(about)
    for name in REFERRED.findall(about.partition("\nArgs:")[0]):
        if found or not depth:
            break
        found = _through(inspect.getdoc(_public(name)) or "", read, depth - 1)
    return found


def _source(row: catalogue.Row, about: str) -> str:
    def read(about: str) -> str:
        text = about.partition("Reference")[2].partition(":")[2]
        return " ".join(re.split(r"\n(?=\S)", text)[0].split())

    found = _through(about, read) or (row.card.source if row.card else "")
    return URL.sub(r"<\g<0>>", cell(found)) or "What it is made of has its own pages."


def _when(row: catalogue.Row, about: str) -> list[str]:
    """Say when to use a method, and what speaks against it."""
    needs = ", ".join(f"`{x}`" for x in row.needs)
    facts = {
        "It is for matrices; vectors are left to another method": (
            "matri" in about.partition("\n\n")[0]
        ),
        f"`update` wants more than gradients: {needs}": bool(row.needs),
        "It has no learning rate that could be a schedule": not row.schedule,
        "Complex parameters are refused": not row.complex,
        "The first step looks at the gradient alone, and changes nothing": row.waits,
        f"It keeps more than Adam, {row.state_bytes:g} bytes for a parameter": (
            row.state_bytes > ADAM
        ),
        "It looks at all leaves together": not row.leafwise,
        "Evaluate at `gradtx.eval_params(state, params)`": "eval_params" in about,
    }
    when = [f"- Use it for: {row.card.when}."] if row.card else []
    found = [*when, *(f"- Mind: {text}." for text, holds in facts.items() if holds)]
    return found or ["- Nothing speaks against it that the tests know of."]


def _cost(row: catalogue.Row, name: str, traffic: dict[str, str]) -> list[str]:
    state = row.state_bytes
    once = "a step reads and writes once the gradient, the parameters and the state"
    return [
        f"- State: {state:g} bytes for each float32 parameter.",
        f"- Memory traffic: {12 + 2 * state:g} bytes for each parameter, where {once}.",
        *([f"- Measured: {traffic[name]}."] if name in traffic else []),
    ]


def measured_traffic() -> dict[str, str]:
    """Return what the page of memory traffic says of each method alone."""
    text = (DOCS / "memory-traffic.md").read_text()
    found: dict[str, str] = {}
    for line in text.splitlines():
        first, *cells = (x.strip() for x in line.strip("|").split("|"))
        names = re.findall(r"`(\w+)`", first)
        alone = "clip_by_global_norm" not in names and "(" not in first
        if not names or not cells or not alone or "without" in first:
            continue
        lowest, *devices = cells
        both = " gradtx / optax" if "/" in devices[0] else ""
        told = ", ".join(map(" ".join, zip(("H200", "TPU v5e"), devices, strict=False)))
        page = "[as told here](/memory-traffic.md)"
        words = f"lower bound {lowest},{both} {told} bytes, {page}"
        found |= dict.fromkeys(names, words)
    return found
