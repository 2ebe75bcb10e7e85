"""Programs written for optax find what they name: paths, arguments, fields."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from enum import EnumType
from pathlib import Path
from typing import Any

import jax
import pytest

import gradtx

# What optax's namespaces hold, recorded from optax after 0.2.8: signatures without
# annotations, fields of named tuples; objects that are no literals stand in <...>.
RECORDED = Path(__file__).parent / "data" / "optax_api.json"
API: dict[str, str] = json.loads(RECORDED.read_text())

LEFT_OUT = {
    "optax.experimental.aggregating.NamedTuple": "an import that leaks",
    "optax.monte_carlo": "removed by optax itself",
    "optax.second_order": "deprecated as a whole: a line of jax.jvp, jax.grad each",
    "optax.second_order.fisher_diag": "deprecated",
    "optax.second_order.hessian_diag": "deprecated",
    "optax.second_order.hvp": "deprecated",
}

# Deprecated, and forwarded to what differs from it: what it is compared with instead.
OTHERWISE = dict.fromkeys(
    ["optax.InjectHyperparamsState", "optax.schedules.InjectHyperparamsState"],
    API["optax.InjectStatefulHyperparamsState"],
)

NAMES = {k: OTHERWISE.get(k, x) for k, x in API.items() if k not in LEFT_OUT}
SPACES = sorted({name.rpartition(".")[0] for name in NAMES} - {""})
every_space = pytest.mark.parametrize("space", SPACES)


def ours(name: str) -> str:
    """Return the path here of a path there."""
    return re.sub(r"^optax\b", "gradtx", name)


def members(space: str, kind: str) -> dict[str, tuple[str, Any]]:
    """Return what a namespace holds of a kind: optax's description, and our object.

    Names that are missing here fail one test only, that of names.
    """
    module = importlib.import_module(ours(space))
    lasts = {name: name.rpartition(".")[2] for name in named(space)}
    return {
        name: (NAMES[name], getattr(module, last))
        for name, last in lasts.items()
        if hasattr(module, last) and re.match(kind, NAMES[name])
    }


def named(space: str) -> list[str]:
    """Return the names that a namespace of optax holds."""
    return [name for name in NAMES if name.rpartition(".")[0] == space]


def parameters(text: str) -> dict[str, inspect.Parameter]:
    """Read a recorded signature; a default that is no literal becomes an ellipsis."""
    inside = re.sub(r"<(?:[^<>]|<[^<>]*>)*>", "...", text[text.index("(") + 1 : -1])
    known = {"Precision": jax.lax.Precision}
    function = eval(f"lambda {inside}: 0", known)  # noqa: S307
    return dict(inspect.signature(function).parameters)


def differences(theirs: dict[str, Any], mine: dict[str, Any]) -> list[str]:
    """Say where a call written for one signature would not do the same in the other."""
    varied = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    positions = [x.name for x in theirs.values() if x.kind is not x.KEYWORD_ONLY]
    if list(mine)[: len(positions)] != positions:
        return [f"starts with {list(mine)[: len(positions)]}, not {positions}"]
    found = [f"no {name}" for name in theirs if name not in mine]
    found += [
        f"needs {name}"
        for name, x in mine.items()
        if name not in theirs and x.default is x.empty and x.kind not in varied
    ]
    for name in set(theirs) & set(mine):
        old, new = theirs[name], mine[name]
        if old.kind is not new.kind:
            found.append(f"{name} is {new.kind.description}")
        same = new.default is not new.empty if old.default is ... else None
        if same is False or (same is None and new.default != old.default):
            found.append(f"{name}={new.default!r}, not {old.default!r}")
    return found


# --- names -------------------------------------------------------------------


@every_space
def test_every_name_is_reached(space: str) -> None:
    """What a namespace of optax holds, the namespace of that name holds here."""
    found = members(space, "")
    missing = [name for name in named(space) if name not in found]
    assert not missing


@every_space
def test_every_signature_takes_the_same_calls(space: str) -> None:
    """Arguments have optax's names, order and defaults; more of ours come after."""
    found = {
        name: differences(parameters(text), dict(inspect.signature(x).parameters))
        for name, (text, x) in members(space, r"\(|class\(").items()
        if not isinstance(x, EnumType)
    }
    assert not {name: x for name, x in found.items() if x}


@every_space
def test_every_state_has_the_same_fields(space: str) -> None:
    """A state has optax's fields in optax's order; more of ours come after."""
    found = {}
    for name, (text, x) in members(space, r"NamedTuple\(").items():
        fields = list(parameters(text))
        if list(x._fields[: len(fields)]) != fields:
            found[name] = x._fields
    assert not found


def test_what_is_left_out_is_out() -> None:
    """A name that is said to be left out is one of optax's, and not to be had here."""
    assert set(LEFT_OUT) <= set(API)
    for name in LEFT_OUT:
        space, _, last = ours(name).rpartition(".")
        try:
            module = importlib.import_module(space)
        except ModuleNotFoundError:
            continue
        assert not hasattr(module, last)


# --- paths -------------------------------------------------------------------

OF_HYPERPARAMS = ["inject_hyperparams", "InjectStatefulHyperparamsState"]
MODULES = [ours(name) for name, x in NAMES.items() if x == "<module>"]


def test_every_path_can_be_imported_first() -> None:
    """`import gradtx.x` and `from gradtx.x import y` work, whatever comes first."""
    program = "".join(f"import {x}\n" for x in MODULES) + (
        "from gradtx.contrib import muon\n"
        "from gradtx.schedules import InjectHyperparamsState, inject_hyperparams\n"
        "from gradtx.tree_utils import tree_norm\n"
        "from gradtx.transforms import chain\n"
        "assert gradtx.contrib.muon is muon\n"
        "assert gradtx.inject_hyperparams is inject_hyperparams\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)  # noqa: S603


@pytest.mark.parametrize("name", OF_HYPERPARAMS)
def test_schedules_answer_for_hyperparams(name: str) -> None:
    """The wrapper that schedules hyperparameters is found beside the schedules too."""
    assert getattr(gradtx.schedules, name) is getattr(gradtx, name)
    with pytest.raises(AttributeError, match="no attribute 'inject_nothing'"):
        _ = gradtx.schedules.inject_nothing  # type: ignore[attr-defined]


# --- names of before ---------------------------------------------------------


def test_names_of_before_are_forwarded() -> None:
    """A deprecated name gives what its successor gives."""
    tree = {"a": [3.0], "b": 4.0}
    assert gradtx.global_norm(tree) == gradtx.tree.norm(tree) == 5.0
    assert gradtx.safe_int32_increment is gradtx.safe_increment
    assert gradtx.inject_stateful_hyperparams is gradtx.inject_hyperparams
    state = gradtx.inject_hyperparams(gradtx.sgd)(0.1).init(tree)
    assert isinstance(state, gradtx.InjectHyperparamsState)
