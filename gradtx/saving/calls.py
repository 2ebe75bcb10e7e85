"""A factory called with arguments by name."""

import inspect
from collections.abc import Mapping
from typing import Any

from gradtx.common import checks
from gradtx.saving.addresses import closest

_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def called(make: Any, given: Mapping[str, Any], name: str) -> Any:
    """Call a factory.

    Args:
      make: the factory.
      given: its arguments by name, those in a row as a list under their common name.
      name: what the factory is called.

    Raises:
      ValueError: for an argument that there is not, with the closest ones, and for one
        that is missing.
    """
    signature = inspect.signature(make)
    parameters = signature.parameters
    for key in given:
        if key not in parameters:
            raise checks.InvalidArgument(
                f"{name} has no argument {key!r}{closest(key, parameters)}; it has "
                f"{', '.join(parameters)}"
            )
    for key, parameter in parameters.items():
        needed = parameter.default is parameter.empty
        if needed and key not in given and parameter.kind not in _ANY_NUMBER:
            raise checks.InvalidArgument(f"{name} needs the argument {key!r}")
    ordered = {key: given[key] for key in parameters if key in given}
    bound = inspect.BoundArguments(signature, ordered)  # type: ignore[arg-type]
    return make(*bound.args, **bound.kwargs)
