"""Under which names the public things are reached, and the things behind the names."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from gradtx.common import arguments, checks

_PACKAGE = __name__.split(".", maxsplit=1)[0]
# What is reached by its own name, besides the names at the door.
_ROOMS = ("codecs", "like", "linalg", "losses", "projections", "schedules", "tree")
_MORE = ("contrib", "experimental")


@cache
def by_address() -> dict[str, Any]:
    """Return all public things of this library, each under its shortest name."""
    found: dict[int, tuple[str, Any]] = {}
    for address, thing in _walk():
        found.setdefault(id(thing), (address, thing))
    return dict(found.values())


def _walk() -> Iterator[tuple[str, Any]]:
    door = sys.modules[_PACKAGE]  # whole by the time that anyone asks
    yield from _public(door, "")
    for room in (*_ROOMS, *_MORE):
        yield from _within(getattr(door, room), f"{room}.")


def _within(module: ModuleType, prefix: str) -> Iterator[tuple[str, Any]]:
    yield from _public(module, prefix)
    for name, inner in vars(module).items():
        if (
            isinstance(inner, ModuleType)
            and inner.__name__ == f"{module.__name__}.{name}"
        ):
            yield from _public(inner, f"{prefix}{name}.")


def _public(module: ModuleType, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, thing in vars(module).items():
        ours = callable(thing) and arguments.is_ours(thing)
        if ours and not name.startswith("_") and not isinstance(thing, ModuleType):
            yield f"{prefix}{name}", thing


def address_of(thing: Any) -> str | None:
    """Return the name by which a function or a class is found again.

    That is its public name in this library, and for others their module's and their own
    where they stand at the top of it; None where there is none.
    """
    for address, known in by_address().items():
        if known is thing:
            return address
    address = f"{thing.__module__}.{thing.__qualname__}"
    return address if _elsewhere(address) is thing else None


def found(address: str) -> Any:
    """Return what has a name, or None.

    Only what has been imported is looked at: a name runs no code.
    """
    known = by_address().get(address)
    return _elsewhere(address) if known is None else known


def _elsewhere(address: str) -> Any:
    module, _, name = address.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def closest(name: str, names: Iterable[str]) -> str:
    """Return a hint at the names that may have been meant; empty if none is near."""
    every = {x.lower(): x for x in reversed(list(names))}
    found = difflib.get_close_matches(name.lower(), every, n=3, cutoff=0.5)
    near = ", ".join(repr(every[x]) for x in found)
    return f": the closest are {near}" if near else ""


def factory_at(address: Any) -> Any:
    """Return the public factory of a name.

    Raises:
      ValueError: if there is none, with the closest names.
    """
    thing = found(address) if isinstance(address, str) else None
    if hasattr(thing, "factory"):
        return thing
    names = [name for name, x in by_address().items() if hasattr(x, "factory")]
    raise checks.InvalidArgument(
        f"there is no transformation or schedule {address!r}"
        f"{closest(str(address), names)}. One of your own is found by its module and "
        "name, once that module is imported"
    )
