"""The catalogue of the tests, a second time: with optax where gradtx stood."""

import importlib
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import optax

TESTS = Path(__file__).parents[2] / "tests"


class Missing(Exception):
    """A library does not have what a row asks for."""


def catalogue() -> list[Any]:
    """Return the rows of the tests."""
    with patch.object(sys, "path", [str(TESTS), *sys.path]):
        return importlib.import_module("catalogue").ROWS


def optax_rows() -> dict[str, Any]:
    """Return the rows of the tests by name, made by optax."""
    catalogue()  # so that nothing is imported below but the rows
    loading = patch.object(_Lacking, "loading", new=True)
    # The tests may be running: what they have imported is put back in its place.
    with loading, patch.dict(sys.modules, gradtx=_Lacking(optax)):
        for name in list(sys.modules):
            if name.split(".")[0] in {"catalogue", "methods"}:
                del sys.modules[name]
        return {row.name: row for row in catalogue()}


class _Lacking:
    """A module, with what refuses to be called for every name that it lacks.

    While the rows are made, a call gives a stand-in: part of a row that is missing.
    """

    loading = False

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._module, name, partial(_refuse, name))
        return _Lacking(found) if isinstance(found, ModuleType) else found


def _refuse(name: str, *_: Any, **__: Any) -> Any:
    if _Lacking.loading:
        return partial(_refuse, name)
    raise Missing(name)
