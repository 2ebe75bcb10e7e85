"""Where one comes from: the arguments of other libraries' optimizers, one by one."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

PLACES = {
    "torch": ("PyTorch", "`torch.optim`", ("like.torch", "like.torch.lr_scheduler")),
    "keras": ("Keras", "`keras.optimizers`", ("like.keras", "like.keras.schedules")),
}


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
    lines += ["| name | arguments and defaults |", "|---|---|"]
    for name in sorted(dir(module)):
        thing: Any = getattr(module, name)
        if inspect.isfunction(thing):
            lines.append(f"| `{name}` | {_arguments(thing)} |")
    return [*lines, ""]


def _arguments(function: Any) -> str:
    shown = []
    for parameter in inspect.signature(function).parameters.values():
        bare = parameter.replace(annotation=inspect.Parameter.empty)
        shown.append(f"`{bare}`".replace("|", "\\|"))
    return ", ".join(shown)
