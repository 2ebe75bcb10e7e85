"""Classes of other libraries, asked for where these are loaded; none is imported."""

import sys
from typing import Any


def is_instance(x: Any, module: str, name: str) -> bool:
    """Whether ``x`` is of a class of another library, which may not be loaded.

    Args:
      x: anything.
      module: the module that the class is reached by, such as ``"optax"``.
      name: the name of the class.
    """
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and isinstance(x, cls)


def is_variable(x: Any) -> bool:
    """Whether this is what ``nnx`` of Flax keeps an array in."""
    return is_instance(x, "flax.nnx", "Variable")
