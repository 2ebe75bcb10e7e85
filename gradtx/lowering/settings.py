"""Numbers of Python as one argument of a compiled program.

Each argument costs a call some microseconds, and an optimizer has up to a dozen
numbers. So those of Python go in one array, with what each lost on its way there.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

Kinds = tuple[type | None, ...]

_EXACT = 2**24  # up to here, float32 has every whole number


def kind_of(x: Any) -> type | None:
    """Return the type of a number that goes into the array, or None if it does not."""
    if type(x) is int:
        return int if abs(x) <= _EXACT else None
    return float if type(x) is float else None


def packed(
    numbers: Sequence[Any], dtype: type[np.floating[Any]]
) -> tuple[np.ndarray, list[Any]]:
    """Return an array of the numbers and by how much each grows, and what is not in it.

    A zero stands for each that has a type of its own.

    Args:
      numbers: all numbers of an optimizer.
      dtype: of the array; JAX must not narrow it, as too large a number ends it.
    """
    rows = [(x if kind_of(x) else 0, _growth(x)) for x in numbers]
    with np.errstate(over="ignore"):
        array = np.asarray(rows, dtype).reshape(-1, 2)
    return array, [x for x in numbers if not kind_of(x)]


def unpacked(
    kinds: Kinds, array: jax.Array, others: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Return all the numbers that were packed, and by how much each grew.

    Args:
      kinds: what :func:`kind_of` says of each of them.
      array: the numbers of Python.
      others: the others.
    """
    rest = iter(others)
    numbers = [
        # As a number of Python does, it takes on the type of what it meets.
        jax.lax.full_like(kind(), array[i, 0]) if kind else next(rest)
        for i, kind in enumerate(kinds)
    ]
    return numbers, [array[i, 1] for i in range(len(kinds))]


def _growth(x: Any) -> float:
    """Return by how much a number grows in float32; it matters near 1 alone."""
    near_1 = isinstance(x, float) and 0.5 < x < 1  # noqa: PLR2004
    return float(np.float32(x)) - x if near_1 else 0.0
