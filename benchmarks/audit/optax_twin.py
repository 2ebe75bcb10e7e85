"""The catalogue of the tests, a second time: with optax where gradtx stood."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import optax

TESTS = Path(__file__).parents[2] / "tests"


def catalogue(library: ModuleType | None = None) -> list[Any]:
    """Return the rows of the tests, made by gradtx or by a library with its names."""
    # The tests may be running: what they have imported is put back in its place.
    anew = {"catalogue", "methods", "gradtx" if library else "methods"}
    before = _taken_out(anew)
    if library:
        sys.modules["gradtx"] = _Lacking(library)  # type: ignore[assignment]
    try:
        with (
            patch.object(sys, "path", [str(TESTS), *sys.path]),
            patch.object(_Lacking, "loading", new=True),
        ):
            return importlib.import_module("catalogue").ROWS
    finally:
        _taken_out(anew)
        sys.modules.update(before)


def _taken_out(packages: set[str]) -> dict[str, ModuleType]:
    """Take modules out of those that are imported, and return them."""
    names = [name for name in sys.modules if name.split(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}


class Missing(Exception):
    """A library does not have what a row asks for."""


class _Lacking:
    """A module, with something that cannot be called for every name that it lacks.

    While the rows are made, a call gives a stand-in: part of a row that is missing.
    """

    loading = False

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._module, name, None)
        if isinstance(found, ModuleType):
            return _Lacking(found)
        return _refusing(name) if found is None else found


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        if _Lacking.loading:
            return refuse
        raise Missing(name)

    return refuse


def optax_rows() -> dict[str, Any]:
    """Return the rows of the tests by name, made by optax."""
    return {row.name: row for row in catalogue(optax)}
