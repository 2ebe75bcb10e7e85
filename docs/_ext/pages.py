"""Pages that are made when the site is built: the interface, the cookbook and others.

They stand in `docs/made`, which git ignores: what they are made of is always newer.
"""

import importlib
import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gradtx
from _ext import arguments, cookbook, from_optax, gallery

ROOT = Path(__file__).parents[2]


def setup(app: Any) -> dict[str, Any]:
    """Make the pages before any is read."""
    app.connect("builder-inited", _make, priority=100)
    return {"parallel_read_safe": True}


def _make(app: Any) -> None:
    folder = Path(app.srcdir) / "made"
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in pages():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every page that is made."""
    yield from interface()
    for name in ("CHANGELOG", "CONTRIBUTING"):
        yield f"{name.lower()}.md", (ROOT / f"{name}.md").read_text()
    yield from cookbook.pages()
    yield from gallery.pages()
    yield from arguments.pages()
    yield from from_optax.pages()


# --- the interface -----------------------------------------------------------

# The public modules beside `gradtx` itself, whose names are sorted by their package.
MODULES = (
    *("assignment", "codecs", "compare", "contrib", "experimental.aggregating"),
    *("like.authors", "like.keras", "like.keras.schedules", "like.optax", "like.torch"),
    *("like.torch.lr_scheduler", "linalg", "losses", "microbatching", "perturbations"),
    *("projections", "recipes", "schedules", "sharding", "testing", "transforms"),
    *("tree", "tree_utils"),
)


def interface() -> Iterator[tuple[str, str]]:
    """Yield the pages of the interface, and the one that lists them."""
    rooms, names = by_package(gradtx), []
    known: dict[int, str] = {}
    for room, found in sorted(rooms.items()):
        summary = inspect.getdoc(importlib.import_module(f"gradtx.{room}")) or ""
        title = f"gradtx: {room}"
        names.append(f"gradtx-{room}")
        yield f"api/{names[-1]}.rst", page(title, summary, "gradtx", found, known)
    for room in MODULES:
        module = importlib.import_module(f"gradtx.{room}")
        names.append(room.replace(".", "-"))
        found = sorted(public(module))
        address = f"gradtx.{room}"
        summary = inspect.getdoc(module) or ""
        yield f"api/{names[-1]}.rst", page(address, summary, address, found, known)
    tree = "\n".join(f"   {name}" for name in names)
    about = (
        "Every public name by its package. Examples begin with ``import gradtx``, "
        "``import jax`` and ``import jax.numpy as jnp``, and are run when this site is "
        "built."
    )
    toctree = f".. toctree::\n\n{tree}\n"
    yield "api/index.rst", f"{heading('Interface')}\n{about}\n\n{toctree}"


def by_package(module: ModuleType) -> dict[str, list[str]]:
    """Return the names of the door by the package that they come from."""
    rooms: dict[str, list[str]] = {}
    for name in sorted(public(module)):
        home = getattr(getattr(module, name), "__module__", "") or ""
        parts = home.split(".")
        known = parts[0] == "gradtx" and len(parts) > 1
        rooms.setdefault(parts[1] if known else "common", []).append(name)
    return rooms


def public(module: ModuleType) -> Iterator[str]:
    """Yield the names of functions and classes that a module shows."""
    for name in dir(module):
        if callable(getattr(module, name)) and not name.startswith("_"):
            yield name


def page(
    title: str, summary: str, address: str, names: list[str], known: dict[int, str]
) -> str:
    """Write a page that describes the names at an address; ``known`` are elsewhere."""
    first = summary.partition("\n\n")[0].replace("|", r"\|").replace("*", r"\*")
    lines = [heading(title)]
    if title == address:  # the names below are given in full
        lines += [f".. py:module:: {address}", "", ".. py:currentmodule:: None", ""]
    lines += [first, ""]
    module = importlib.import_module(address)
    # Functions come first, and then the states that they keep.
    order = sorted(names, key=lambda x: (x[0].isupper(), x))
    at_home = [x for x in order if id(getattr(module, x)) not in known]
    if at_home:
        lines += [".. autosummary::", "   :nosignatures:", ""]
        lines += [*(f"   {address}.{name}" for name in at_home), ""]
    for name in order:
        thing = getattr(module, name)
        lines += [*_described(thing, f"{address}.{name}", known), ""]
        known.setdefault(id(thing), f"{address}.{name}")
    return "\n".join(lines)


def _described(thing: Any, name: str, known: dict[int, str]) -> list[str]:
    """Describe a thing under its first name; say of others that they are the same."""
    if id(thing) not in known:
        return [_directive(thing, name)]
    return [f".. py:data:: {name}", "", f"   The same as ``{known[id(thing)]}``."]


def _directive(thing: Callable[..., Any], name: str) -> str:
    if inspect.isclass(thing):
        return f".. autoclass:: {name}"
    is_function = inspect.isroutine(thing)
    return f".. {'autofunction' if is_function else 'autodata'}:: {name}"


def heading(title: str) -> str:
    """Write a title."""
    return f"{title}\n{'=' * len(title)}\n"
