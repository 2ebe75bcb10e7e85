"""A function of arrays as one compiled program, outside of jit too."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import jax

from gradtx.lowering.eager import all_arrays
from gradtx.lowering.sharding import are_scattered

F = TypeVar("F", bound=Callable[..., Any])


def one_program(function: F) -> F:
    """Compile a function of arrays for calls outside of jit; use it as a decorator.

    Given anything else, or arrays on several devices, it is run as it stands.
    """
    together = jax.jit(function)

    @wraps(function)
    def call(*args: Any) -> Any:
        if all_arrays(args):
            try:
                return together(*args)
            except ValueError:
                if not are_scattered(args):
                    raise
        return function(*args)

    return call  # type: ignore[return-value]
