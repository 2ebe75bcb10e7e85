"""What another library kept for every parameter, by the parameter's path."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradtx.common import checks
from gradtx.common.types import Params
from gradtx.groups import paths

Layout = Callable[[np.ndarray], np.ndarray]
Layouts = Mapping[paths.Pattern, Layout | None]


class Entry(NamedTuple):
    """What was kept for one parameter.

    Args:
      arrays: of the parameter's shape there, or of its sides, by name.
      numbers: what else was kept, by name.
      steps: how many steps it has taken; None where that was not kept.
      layout: from an array with the parameter's axes there to one with those here.
    """

    arrays: dict[str, np.ndarray]
    numbers: dict[str, Any]
    steps: int | None
    layout: Layout


def checked_names(names: Sequence[str], params: Params) -> list[str]:
    """Return the names.

    Raises:
      ValueError: if one is given twice or is no path of a parameter, with the closest.
    """
    there, _ = paths.paths_of(params)
    for i, name in enumerate(names):
        if name not in there:
            close = ", ".join(map(repr, paths.closest(str(name), there)))
            raise checks.InvalidArgument(
                f"names[{i}] is {name!r}, which is no path of the parameters: the "
                f"closest are {close}"
            )
        if name in names[:i]:
            raise checks.InvalidArgument(f"names has {name!r} twice")
    return list(names)


def layout_of(path: str, usual: Layout, turned: Sequence[str], given: Any) -> Layout:
    """Return how the arrays of a parameter are turned.

    Args:
      path: its path.
      usual: how those are turned whose axes the libraries order differently.
      turned: the last names of those.
      given: the user's own layouts by pattern, of which the first counts; or None.
    """
    patterns = list((given or {}).items())
    paths.check([pattern for pattern, _ in patterns])
    for pattern, own in patterns:
        if paths.finds(pattern, path):
            return _as_it_is if own is None else own
    return usual if path.rpartition("/")[2] in turned else _as_it_is


def output_last(x: np.ndarray) -> np.ndarray:
    """Turn (out, in, ...) into (..., in, out)."""
    return x.transpose(*range(2, x.ndim), 1, 0) if x.ndim > 1 else x


def output_first(x: np.ndarray) -> np.ndarray:
    """Turn (..., in, out) into (out, in, ...)."""
    return x.transpose(-1, -2, *range(x.ndim - 2)) if x.ndim > 1 else x


def _as_it_is(x: np.ndarray) -> np.ndarray:
    return x
