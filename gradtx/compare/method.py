"""A method of a comparison: how it is built, called and drawn."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from gradtx.common.checks import InvalidArgument

COLOURS = (
    "#D55E00",
    "#0072B2",
    "#009E73",
    "#CC6699",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#44AA99",
    "#8F7A00",
    "#222222",
)
DASHES = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5))


class Method(NamedTuple):
    """One method of the comparison, all settings but those that are swept fixed."""

    name: str
    title: str
    build: Callable
    """Makes the optimizer from a learning rate, and from what else is swept."""
    settings: str
    """What is fixed, in words; where empty, the optimizer prints itself."""
    colour: str
    dashes: tuple[float, ...]
    """Lengths drawn and skipped, in line widths; empty for a solid line."""


def methods(optimizers: Mapping[str, Callable]) -> list[Method]:
    """Give each of a user's optimizers a colour and dashes of its own.

    Raises:
      ValueError: if there is none, or one cannot be called.
    """
    if not optimizers:
        raise InvalidArgument("optimizers: there is none to compare")
    for name, build in optimizers.items():
        if not callable(build) or isinstance(build, tuple):
            raise InvalidArgument(
                f"optimizers: {name} must be a function of the learning rate, such as "
                f"gradtx.adamw or lambda rate: gradtx.sgd(rate, 0.9), got {build!r}"
            )
    return [
        Method(name, name, build, "", COLOURS[at % 10], DASHES[at // 10 % 4])
        for at, (name, build) in enumerate(optimizers.items())
    ]


Settings = Mapping[str, Sequence[float]]


def combinations(
    chosen: list[Method], settings: Settings | Mapping[str, Settings] | None
) -> list[list[dict[str, float]]]:
    """Give, for each method, every combination of the settings swept beside the rate.

    Raises:
      ValueError: if a setting has no values, or no method has it.
    """
    settings = settings or {}
    names = {method.name for method in chosen}
    own = {k: v for k, v in settings.items() if isinstance(v, Mapping)}
    shared = {k: v for k, v in settings.items() if k not in own}
    if unknown := sorted(set(own) - names):
        raise InvalidArgument(f"settings: there is no optimizer {', '.join(unknown)}")
    taken = [{**_taken(m, shared), **own.get(m.name, {})} for m in chosen]
    for name, values in [item for each in taken for item in each.items()]:
        if not len(values):
            raise InvalidArgument(f"settings: {name} has no values to sweep")
    if unused := sorted(set(shared).difference(*taken)):
        raise InvalidArgument(f"settings: no optimizer takes {', '.join(unused)}")
    return [
        [dict(zip(each, values, strict=True)) for values in product(*each.values())]
        for each in taken
    ]


def _taken(method: Method, shared: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(method.build).parameters
    return {name: values for name, values in shared.items() if name in known}
