"""Docstrings: every parameter of every public function is described, and no other."""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

ROOMS = (
    *("assignment", "codecs", "compare", "core", "groups", "inspection"),
    *("experimental.aggregating", "like.authors", "like.keras", "like.optax"),
    *("like.torch", "kernels", "linalg", "linesearch", "losses", "microbatching"),
    *("optimizers", "perturbations", "primitives", "projections", "quantization"),
    *("recipes", "saving", "schedules", "sharding", "testing", "tree", "wrappers"),
)

ENTRY = re.compile(r"  (\*{0,2}\w+(?:, \*{0,2}\w+)*): \S")


def functions() -> dict[str, Callable[..., Any]]:
    """Return the public functions of the packages by their addresses."""
    return {
        f"{room}.{name}": x
        for room in ROOMS
        for name, x in vars(importlib.import_module(f"gradtx.{room}")).items()
        if inspect.isfunction(x) and not name.startswith("_")
    }


def described(text: str) -> list[str]:
    """Return the parameters that the section `Args:` of a docstring describes."""
    _, _, rest = text.partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", rest)[0].splitlines()
    entries = [entry[1] for line in section if (entry := ENTRY.match(line))]
    return [name for entry in entries for name in re.findall(r"\w+", entry)]


def taken(function: Callable[..., Any]) -> list[str]:
    """Return the parameters of a function, without those that take the rest."""
    parameters = inspect.signature(function).parameters.values()
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.kind not in rest]


def test_every_parameter_is_described() -> None:
    """A function's docstring describes each of its parameters, and none it lacks."""
    for name, function in functions().items():
        found = described(inspect.getdoc(function) or "")
        lacking = [x for x in taken(function) if x not in found]
        assert not lacking, f"{name} does not describe {lacking}"
        unknown = set(found) - set(inspect.signature(function).parameters)
        assert not unknown, f"{name} has no {unknown}"
        assert len(set(found)) == len(found), f"{name} describes one twice"
