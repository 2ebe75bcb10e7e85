"""What ``dir()`` and ``import *`` show of a package: its public names."""

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType

# The public names that are no values of their package: its public modules, and what
# optax has there too and a function answers. By the package's path inside this one.
_MORE: dict[str, Iterable[str]] = {
    "": (
        *("assignment", "codecs", "compare", "contrib", "experimental", "like"),
        *("linalg", "losses", "microbatching", "perturbations", "projections"),
        *("recipes", "schedules", "slots", "testing", "transforms", "tree"),
        "tree_utils",
    ),
    ".experimental": ("aggregating",),
    ".like": ("authors", "keras", "optax", "torch"),
    ".like.keras": ("schedules",),
    ".like.torch": ("lr_scheduler",),
    ".schedules": (
        *("InjectHyperparamsState", "InjectStatefulHyperparamsState"),
        *("inject_hyperparams", "inject_stateful_hyperparams"),
    ),
}


def show_public_names(package: str) -> None:
    """Let a package, its packages and its public modules show their public names.

    A package also holds each of its own modules, as an attribute that Python sets when
    it imports one. Who looks at ``dir(gradtx)`` shall not see those.

    Args:
      package: the name of this library, once all of it is imported.
    """
    public = [getattr(sys.modules[package], name) for name in _MORE[""]]
    for name, module in list(sys.modules.items()):
        inside = name == package or name.startswith(f"{package}.")
        if inside and (module in public or hasattr(module, "__path__")):
            _show(module, _MORE.get(name.removeprefix(package), ()))


def _show(module: ModuleType, more: Iterable[str]) -> None:
    names = getattr(module, "__all__", None) or sorted({*_values(module), *more})
    vars(module).update(__all__=names, __dir__=lambda: names)


def _values(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        public = name == "__version__" or not name.startswith("_")
        if public and not isinstance(value, ModuleType):
            yield name
