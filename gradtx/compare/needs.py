"""Packages that are asked for when they are needed, and named where they are not."""

from collections.abc import Iterator
from contextlib import contextmanager

from gradtx.common.checks import Unavailable


@contextmanager
def needed(purpose: str) -> Iterator[None]:
    """Say what to install where an import within fails.

    Args:
      purpose: what the package is needed for, to begin a sentence with.

    Raises:
      ImportError: if a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise Unavailable(
            f"{purpose} needs {missing.name}, which is not installed: "
            "pip install 'gradtx[examples]'"
        ) from missing
