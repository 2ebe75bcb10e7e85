"""Every public function has an example, and all examples run as they stand.

Types need none: most are records of state, which a function makes.
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
from _ext.pages import MODULES, public

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def setup(app: Any) -> dict[str, Any]:
    """Run the examples before the pages are read; one that fails ends the build."""
    app.connect("builder-inited", _hold)
    return {"parallel_read_safe": True}


def _hold(app: Any) -> None:
    del app
    if wrong := list(faults()):
        raise ExtensionError("\n".join(wrong))


def faults() -> Iterator[str]:
    """Yield what lacks an example, and the examples that fail."""
    for address, thing in described():
        text = inspect.getdoc(thing) or ""
        if ">>>" in text:
            yield from _failures(address, text)
        elif inspect.isfunction(thing):
            yield f"{address} has no example"


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
