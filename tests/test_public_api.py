"""The door: every name once, nothing private, all of it documented, tested, a value."""

import ast
import importlib
import inspect
import pickle
import pkgutil
from collections import Counter
from pathlib import Path
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import names_in_code
import pytest
from jax.sharding import PartitionSpec

import gradtx
from gradtx.common.arguments import may_be_number

PACKAGE = Path(gradtx.__file__).parent
TESTS = Path(__file__).parent
ROOMS = (
    "core",
    "linesearch",
    "primitives",
    "quantization",
    "wrappers",
    "optimizers",
    "groups",
    "schedules",
    "inspection",
    "sharding",
)

PART = gradtx.chain(gradtx.scale(2.0), gradtx.adam(0.1))

# What arguments without a default are tried with, by name; all others by their type:
# numbers with 0.5, counts with 3, transformations with the part above.
SAMPLES: dict[str, Any] = {
    "gathered.layout": PartitionSpec(),
    "args": (PART, gradtx.identity()),
    "axis": "d",
    "named_chain.args": (("first", PART), ("second", gradtx.identity())),
    "boundaries": [3],
    "cosine_kwargs": [
        {"decay_steps": 5, "init_value": 0.0, "peak_value": 1.0, "warmup_steps": 1}
    ],
    "decay_steps": 10,
    "default": PART,
    "every_k_schedule": 2,
    "f": gradtx.tree.norm,
    "freeze_mask": {"w": True},
    "groups": {"**/w": PART, "b": None},
    "interpolate_type": "cosine",
    "mask": {"w": True},
    "max_consecutive_errors": 3,
    "measure": gradtx.tree.norm,
    "measure_name": "size",
    "measures": {"size": gradtx.tree.norm},
    "param_labels": {"w": "a"},
    "schedules": [gradtx.constant_schedule(0.5), gradtx.linear_schedule(1.0, 0.0, 5)],
    "should_transform_fn": gradtx.tree.norm,
    "step_size_fn": gradtx.constant_schedule(0.5),
    "sync_period": 2,
    "transforms": {"a": PART, "b": gradtx.set_to_zero()},
    "transition_steps": 10,
    "warmup_steps": 2,
}


def names_at(path: Path) -> list[str]:
    """Return the names that a file of re-exports gives."""
    nodes = ast.parse(path.read_text()).body
    return [
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if not str(alias.asname).startswith("_")
    ]


DOOR = names_at(PACKAGE / "__init__.py")


def modules(room: str) -> list[Any]:
    """Import all modules of a room."""
    package = importlib.import_module(f"gradtx.{room}")
    found = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(module.name) for module in found]


def factories(room: str) -> dict[str, Any]:
    """Return the factories of values that a room's modules define, by name."""
    return {
        name: x
        for module in modules(room)
        for name, x in vars(module).items()
        if hasattr(x, "factory")
        and x.__module__ == module.__name__
        and not name.startswith("_")
    }


EVERY_FACTORY = {name: make for room in ROOMS for name, make in factories(room).items()}


def addresses() -> dict[str, Any]:
    """Return all that is reached from the door or one of the forwarding addresses."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(gradtx.__path__):
        source = PACKAGE / f"{module.name}.py"
        if source.exists() and not _defines(source):
            found |= vars(importlib.import_module(f"gradtx.{module.name}"))
    return found | {name: getattr(gradtx, name) for name in DOOR}


def _defines(source: Path) -> bool:
    nodes = ast.parse(source.read_text()).body
    return any(isinstance(x, ast.FunctionDef | ast.ClassDef) for x in nodes)


# --- names -------------------------------------------------------------------


def test_every_name_is_exported_once() -> None:
    """The door lists a name once, and in one place only."""
    twice = [name for name, times in Counter(DOOR).items() if times > 1]
    assert not twice


def test_nothing_private_leaks() -> None:
    """What is reached from the door is listed there, or a module of the package."""
    assert not [name for name in DOOR if name.startswith("_")]
    modules = {module.name for module in pkgutil.iter_modules(gradtx.__path__)}
    rest = {x for x in vars(gradtx) if not x.startswith("_")} - set(DOOR) - modules
    assert not rest


@pytest.mark.parametrize("room", ROOMS)
def test_every_factory_has_an_address(room: str) -> None:
    """A factory is reached from the door or from a forwarding address, as itself."""
    reached = addresses()
    for name, make in factories(room).items():
        assert name in reached, f"{make.__module__}.{name} is not exported"
        assert reached[name] is make, name


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_s_door_is_at_the_door(room: str) -> None:
    """What a room re-exports is reached from the door or a forwarding address too."""
    reached = addresses()
    package = importlib.import_module(f"gradtx.{room}")
    missing = [
        name
        for name in names_at(PACKAGE / room / "__init__.py")
        if reached.get(name, reached) is not getattr(package, name)
    ]
    assert not missing


def public_names(source: Path) -> set[str]:
    """Return what a file of re-exports gives: what it imports as itself, or assigns."""
    names: set[str] = set()
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names |= {x.name for x in node.names if x.name == x.asname}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets}
    return {name for name in names if not name.startswith("_")}


def dotted(path: Path) -> str:
    """Return the name by which a file of this package is imported."""
    names = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


# Not public, and imported where something asks for them, once the rest is there.
LATE = ("gradtx.kernels", "gradtx.compare.builtin")
FILES_OF_NAMES = [*PACKAGE.rglob("__init__.py"), *PACKAGE.glob("[!_]*.py")]
DOORS = {dotted(path): path for path in FILES_OF_NAMES if dotted(path) not in LATE}


@pytest.mark.parametrize("name", DOORS)
def test_a_package_shows_its_public_names(name: str) -> None:
    """`dir()` and `import *` show what a package re-exports, and nothing else."""
    module = importlib.import_module(name)
    answered = getattr(module, "_HYPERPARAMS", ())
    version = {"__version__"} if name == "gradtx" else set()
    assert set(dir(module)) == public_names(DOORS[name]).union(answered, version)
    assert all(getattr(module, x) is not None for x in module.__all__)


# --- words -------------------------------------------------------------------


def documented() -> dict[str, Any]:
    """Return the functions at the door, and those of the rooms beside it.

    Those of `tree` are as plain as their names; they need a sentence only.
    """
    rooms = [getattr(gradtx, name) for name in ("losses", "projections")]
    names = {name: getattr(gradtx, name) for name in DOOR}
    for room in rooms:
        names |= {f"{room.__name__}.{k}": v for k, v in vars(room).items()}
    return {
        name: x
        for name, x in names.items()
        if inspect.isfunction(x)
        and getattr(x, "__module__", "").startswith("gradtx")
        and not name.rpartition(".")[2].startswith("_")
    }


def test_every_function_is_documented() -> None:
    """A docstring says what each argument means, or points to one that does."""
    for name, function in documented().items():
        text = function.__doc__
        assert text, f"{name} has no docstring"
        summary = text.split("\n")[0].strip()
        assert summary.endswith((".", ":", "]")), f"{name} has no summary"
        parameters = inspect.signature(function).parameters
        if not parameters or ":func:" in text or ":class:" in text:
            continue
        if len(parameters) == 1 and "Args:" not in text:
            continue  # the summary speaks of it
        arguments = text.partition("Args:")[2]
        missing = [x for x in parameters if x not in arguments]
        assert not missing, f"{name} says nothing of {missing}"


# --- values ------------------------------------------------------------------


def sample(make: Any) -> Any:
    """Call a factory with a sample of every argument that has no default."""
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    for name, parameter in make.factory.signature.parameters.items():
        several = parameter.kind is parameter.VAR_POSITIONAL
        if several or parameter.default is parameter.empty:
            value = _sample(make.__name__, name, parameter)
            if parameter.kind is parameter.KEYWORD_ONLY:
                keywords[name] = value
            else:
                arguments += value if several else [value]
    return make(*arguments, **keywords)


def _sample(make: str, name: str, parameter: inspect.Parameter) -> Any:
    if f"{make}.{name}" in SAMPLES:
        return SAMPLES[f"{make}.{name}"]
    if name in SAMPLES:
        return SAMPLES[name]
    if parameter.annotation is gradtx.GradientTransformation:
        return PART
    if parameter.annotation is int:
        return 3
    assert may_be_number(parameter), f"give a sample of {name!r} of {make}"
    return 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", EVERY_FACTORY.values(), ids=list(EVERY_FACTORY))
def test_every_factory_makes_values(make: Any) -> None:
    """What it prints makes it again; it equals itself, and survives tree and pickle."""
    value = sample(make)
    known = {**vars(jnp), **addresses(), "norm": gradtx.tree.norm}
    known |= {"P": PartitionSpec, "PartitionSpec": PartitionSpec}
    same = [
        sample(make),
        eval(repr(value), known),  # noqa: S307
        pickle.loads(pickle.dumps(value)),  # noqa: S301
        jax.tree.map(lambda x: x, value),
    ]
    for other in same:
        assert other == value
        assert hash(other) == hash(value)
        assert repr(other) == repr(value)
    nothing = jax.tree.map(lambda _: None, value)
    assert jax.tree.leaves(nothing) == []


# --- rows and tests ----------------------------------------------------------


def used(value: Any) -> set[str]:
    """Return the names of the factories that a value was made by, parts included."""
    recipe = getattr(value, "recipe", None)
    if recipe is None:
        return set()
    parts = jax.tree.leaves(
        recipe.arguments, is_leaf=lambda x: hasattr(x, "recipe") and x is not recipe
    )
    return {recipe.factory.name}.union(*map(used, parts))


# Not made for the contract: random steps, and a direction that is never used alone.
ELSEWHERE = {
    "galore": "tests/optimizers/test_galore.py",
    "scale_by_rprop": "the row of rprop",
}


def test_every_optimizer_has_a_row() -> None:
    """What takes a learning rate is in the catalogue, unless it is deprecated."""
    rows = set().union(*(used(row.build()) for row in catalogue.ROWS))
    wanted = [
        name
        for name, make in factories("optimizers").items()
        if "learning_rate" in make.factory.signature.parameters
        and "deprecated" not in make.__doc__.lower()
    ]
    missing = sorted(set(wanted) - rows - set(ELSEWHERE))
    assert not missing, f"no row in tests/catalogue.py uses {missing}"


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "optimizers"])
@pytest.mark.one_in(2)
def test_every_factory_is_tested(room: str) -> None:
    """A factory is in a row of the catalogue, or some test calls it."""
    rows = set().union(*(used(row.build()) for row in catalogue.ROWS))
    files = (path for path in TESTS.rglob("*.py") if path != Path(__file__))
    missing = sorted(
        set(factories(room)) - rows.union(*map(names_in_code.called, files))
    )
    assert not missing


def test_names_in_the_catalogue_differ() -> None:
    """Rows are told apart by their names."""
    assert len(set(catalogue.NAMES)) == len(catalogue.ROWS)
