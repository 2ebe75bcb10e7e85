"""Where one comes from: the arguments of other libraries' optimizers, one by one."""

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

PLACES = {
    "torch": ("PyTorch", "`torch.optim`", ("like.torch", "like.torch.lr_scheduler")),
    "keras": ("Keras", "`keras.optimizers`", ("like.keras", "like.keras.schedules")),
}
ENTRY = re.compile(r"  (\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)")
ROLE = re.compile(r":\w+:`~?([^`]+)`")


def pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each library."""
    for name, (title, what, modules) in PLACES.items():
        about = (
            f"`gradtx.like.{name}` has the constructors of {what} under their names, "
            "with their arguments and defaults, and follows recorded trajectories of "
            "them. State comes along by `state_from`: see "
            "[changing a run](/changing-a-run.md)."
        )
        lines = [f"# Coming from {title}", "", about, ""]
        for module in modules:
            lines += _table(module)
        yield f"from-{name}.md", "\n".join(lines)


def _table(address: str) -> list[str]:
    module = importlib.import_module(f"gradtx.{address}")
    lines = [f"## `gradtx.{address}`", ""]
    for name in sorted(dir(module)):
        thing: Any = getattr(module, name)
        if inspect.isfunction(thing):
            lines += [f"### `{name}`", "", *settings(thing), ""]
    return lines


def settings(function: Any) -> list[str]:
    """Write a table of a function's arguments, with what its docstring says."""
    said = described(inspect.getdoc(function) or "")
    lines = ["| argument | default | what it is |", "|---|---|---|"]
    for name, parameter in inspect.signature(function).parameters.items():
        required = parameter.default is parameter.empty
        default = "" if required else _code(parameter.default)
        lines.append(f"| `{name}` | {default} | {cell(said.get(name, ''))} |")
    return lines


def described(docstring: str) -> dict[str, str]:
    """Return what the section of arguments says of each of them."""
    _, _, rest = docstring.partition("\nArgs:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in re.split(r"\n(?=\S)", rest)[0].splitlines():
        if entry := ENTRY.match(line):
            names = re.findall(r"\w+", entry[1])
            found |= dict.fromkeys(names, entry[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _code(value: Any) -> str:
    shown = getattr(value, "__name__", None) or " ".join(repr(value).split())
    return f"`{shown}`".replace("|", r"\|")


def cell(text: str) -> str:
    """Write the markup of docstrings as that of a Markdown table."""
    plain = ROLE.sub(r"`\1`", text).replace("``", "`")
    return plain.replace("|", r"\|").replace("*", r"\*").strip()
