"""Every public function and class has an example, and all run as they stand.

Those of states are made here. The types of functions, and warnings, need none.
"""

import doctest
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from sphinx.errors import ExtensionError

import gradtx
from _ext import records
from _ext.pages import MODULES, public

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def setup(app: Any) -> dict[str, Any]:
    """Run the examples before the pages are read; one that fails ends the build."""
    app.connect("builder-inited", _hold)
    app.connect("autodoc-process-docstring", _add, priority=300)
    return {"parallel_read_safe": True}


def _hold(app: Any) -> None:
    del app
    if wrong := list(faults()):
        raise ExtensionError("\n".join(wrong))


def _add(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Add the example of a class of state to what its page says."""
    del app, what, name, options
    if inspect.isclass(thing) and ">>>" not in "\n".join(lines):
        made = records.examples().get(thing, [])
        lines += ["", *made] if made else []


def faults() -> Iterator[str]:
    """Yield what lacks an example, and the examples that fail."""
    for address, thing in described():
        text = inspect.getdoc(thing) or ""
        if ">>>" not in text and inspect.isclass(thing):
            text = "\n".join(records.examples().get(thing, []))
        if ">>>" in text:
            yield from _failures(address, text)
        elif inspect.isfunction(thing) or _is_made(thing):
            yield f"{address} has no example"


def _is_made(thing: Any) -> bool:
    """Whether this is a class that users make or meet things of."""
    ours = inspect.isclass(thing) and thing.__module__.startswith("gradtx.")
    if not ours or issubclass(thing, Exception):
        return False
    return not getattr(thing, "_is_protocol", False)


def described() -> Iterator[tuple[str, Any]]:
    """Yield every public thing, under the first of its addresses."""
    seen: set[int] = set()
    for address in ("gradtx", *(f"gradtx.{room}" for room in MODULES)):
        module = importlib.import_module(address)
        for name in public(module):
            thing = getattr(module, name)
            if id(thing) not in seen:
                yield f"{address}.{name}", thing
            seen.add(id(thing))


def _failures(address: str, text: str) -> Iterator[str]:
    names = {"gradtx": gradtx, "jax": jax, "jnp": jnp}
    test = doctest.DocTestParser().get_doctest(text, names, address, "", 0)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=told.append)
    if told:
        yield "".join(told)
