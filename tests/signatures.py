"""The signatures of all public names, as text, and what changed from one to another.

``python tests/signatures.py`` writes those of now to ``tests/data/signatures.json``, as
is done when a version is released. Followed by names, it writes the signatures of these
alone: for a break with the released version that the changelog tells of.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from enum import Enum, EnumType
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_origin

import gradtx

FILE = Path(__file__).parent / "data" / "signatures.json"
# Names here follow another library's, as docs/versions.md says.
UNSTABLE = "gradtx.experimental"


class Parameter(NamedTuple):
    """One parameter of a signature that is written as text."""

    positional: bool
    keyword: bool
    default: str | None


def public() -> dict[str, str]:
    """Return the signature of every public name; what is no function has none."""
    return {name: written(thing) for name, thing in sorted(_walk(gradtx, "gradtx"))}


def _walk(module: ModuleType, name: str) -> Iterator[tuple[str, Any]]:
    for inner in dir(module):
        thing, address = getattr(module, inner), f"{name}.{inner}"
        if isinstance(thing, ModuleType):
            yield from () if address == UNSTABLE else _walk(thing, address)
        else:
            yield address, thing


def written(thing: Any) -> str:
    """Write a signature without its types, which may be said better at any time."""
    if get_origin(thing):  # an alias of types
        return ""
    if isinstance(thing, EnumType):  # what it is called with differs among Pythons
        return f"({', '.join(f'{x.name}={x.value!r}' for x in thing)})"
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    plain = [
        x.replace(annotation=x.empty, default=_Default(x.default))
        if x.default is not x.empty
        else x.replace(annotation=x.empty)
        for x in signature.parameters.values()
    ]
    return str(inspect.Signature(plain))


class _Default:
    """A default as it is written: a literal or a call, or else a name."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        if isinstance(self.value, Enum):
            return str(self.value)
        text = repr(self.value)
        try:
            ast.parse(text, mode="eval")
        except SyntaxError:
            return getattr(self.value, "__name__", type(self.value).__name__)
        return text


def parameters(signature: str) -> dict[str, Parameter]:
    """Read a signature that was written."""
    given = _arguments(signature)
    first = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(first) - len(given.defaults)) + given.defaults
    found = {
        x.arg: Parameter(
            positional=True, keyword=x in given.args, default=_text(default)
        )
        for x, default in zip(first, defaults, strict=True)
    }
    for x, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        found[x.arg] = Parameter(positional=False, keyword=True, default=_text(default))
    return found


def stars(signature: str) -> set[str]:
    """Return which of ``*`` and ``**`` collect further arguments."""
    given = _arguments(signature)
    return {star for star, x in (("*", given.vararg), ("**", given.kwarg)) if x}


def _arguments(signature: str) -> ast.arguments:
    return ast.parse(f"lambda {signature[1:-1]}: 0", mode="eval").body.args


def _text(default: ast.expr | None) -> str | None:
    return None if default is None else ast.unparse(default)


def broken(old: str, new: str) -> list[str]:
    """Return what a call that fits the old signature may meet in the new one."""
    before, after = parameters(old), parameters(new)
    found = []
    for name, was in before.items():
        now = after.get(name)
        if now is None:
            found += [f"{name!r} is gone"]
        elif was.keyword and not now.keyword:
            found += [f"{name!r} is positional only"]
        elif was.default is not None and now.default is None:
            found += [f"{name!r} has lost its default"]
        elif was.default not in (None, now.default):
            found += [f"{name!r} was {was.default} by default and is {now.default}"]
    found += [
        f"{name!r} is new and has no default"
        for name, now in after.items()
        if name not in before and now.default is None
    ]
    order = [name for name, x in before.items() if x.positional and name in after]
    if [name for name, x in after.items() if x.positional][: len(order)] != order:
        found += [f"the order was {', '.join(order)}"]
    found += [f"{star} is gone" for star in stars(old) - stars(new)]
    return found


def recorded() -> dict[str, Any]:
    """Return the version that was released last, and its signatures."""
    return json.loads(FILE.read_text())


def main(names: list[str]) -> None:
    """Write the signatures of now: all of them, or those of some names."""
    now = public()
    if names:
        kept = recorded()
        for name in names:
            kept["signatures"].pop(name, None)
        kept["signatures"] |= {name: now[name] for name in names if name in now}
    else:
        kept = {"version": gradtx.__version__, "signatures": now}
    FILE.write_text(json.dumps(kept, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
