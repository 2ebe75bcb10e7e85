"""Text that breaks its lines where it does not fit into one, as code is formatted."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

# How many characters there are on a line.
_WIDTH: ContextVar[float] = ContextVar("_WIDTH", default=88)
_INDENT = "    "


def enclosed(opening: str, texts: Callable[[], list[str]], closing: str) -> str:
    """Write texts with commas between them: on one line, or else one on each.

    Args:
      opening: what stands before them.
      texts: returns them, with lines that fit the width at that time.
      closing: what stands behind them; a comma at its beginning is for one line.
    """
    room = _WIDTH.get()
    with unbroken():
        one = opening + ", ".join(texts()) + closing
    if len(one) <= room:
        return one
    with narrower(len(_INDENT)):
        rows = [text.replace("\n", "\n" + _INDENT) for text in texts()]
    listed = "".join(f"{_INDENT}{row},\n" for row in rows)
    return f"{opening}\n{listed}{closing.lstrip(',')}"


def unbroken() -> AbstractContextManager[None]:
    """Write what is written inside on one line."""
    return narrower(float("-inf"))


@contextmanager
def narrower(by: float) -> Iterator[None]:
    """Write what is written inside with less room on each line."""
    token = _WIDTH.set(_WIDTH.get() - by)
    try:
        yield
    finally:
        _WIDTH.reset(token)
