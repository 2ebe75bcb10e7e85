"""The catalogue of the tests, a second time: with optax where gradtx stood."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import optax

TESTS = Path(__file__).parents[2] / "tests"


def catalogue(library: ModuleType | None = None) -> list[Any]:
    """Return the rows of the tests, made by gradtx or by a library with its names."""
    # Not the tests' own name: they may be running, with rows that are pickled.
    name = f"catalogue_of_{'gradtx' if library is None else library.__name__}"
    spec = importlib.util.spec_from_file_location(name, TESTS / "catalogue.py")
    if spec is None or spec.loader is None:  # pragma: no cover
        raise FileNotFoundError(TESTS / "catalogue.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where the rows' class looks for its module
    put_in = {} if library is None else {"gradtx": _Lacking(library)}
    before = _taken_out("gradtx" if put_in else "methods", "methods")
    sys.path.insert(0, str(TESTS))  # where the families of methods stand
    sys.modules.update(put_in)  # type: ignore[arg-type]
    _Lacking.loading = True
    try:
        spec.loader.exec_module(module)
    finally:
        _Lacking.loading = False
        sys.path.remove(str(TESTS))
        _taken_out("gradtx" if put_in else "methods", "methods")
        sys.modules.update(before)
    return module.ROWS


def _taken_out(*packages: str) -> dict[str, ModuleType]:
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
