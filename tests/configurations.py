"""With what a law is tried: one configuration for each row, or all (--exhaustive)."""

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import pytest
from catalogue import ROWS
from methods.common import Row

# What has this mark is run with --exhaustive only.
EXHAUSTIVE = pytest.mark.exhaustive

_of_factory: dict[Callable[..., Any], str] = {}
for _row in ROWS:
    _of_factory.setdefault(_row.make, _row.name)
# The names of the first row of every factory; later ones only set it otherwise.
FIRST = frozenset(_of_factory.values())


def one_of(row: Row, cases: Sequence[Any]) -> Any:
    """Choose a case for a row by its name, so that each case meets some of the rows."""
    return cases[crc32(row.name.encode()) % len(cases)]


def once_each(rows: Sequence[Row]) -> list[Any]:
    """Return rows, of which all but the first of every factory are exhaustive.

    For laws that hold around a method whatever its settings.
    """
    return [
        pytest.param(row, id=row.name, marks=() if row.name in FIRST else EXHAUSTIVE)
        for row in rows
    ]


def tried(
    rows: Sequence[Row],
    cases: Callable[[Row], Sequence[Any]],
    usual: Callable[[Row, Sequence[Any]], Any] = one_of,
    *,
    once: bool = False,
) -> list[Any]:
    """Return what a test is parametrized with: each row with each of its cases.

    Args:
      rows: those that the law is about.
      cases: what it is tried with.
      usual: chooses the case that is not exhaustive.
      once: whether only the first row of a factory has such a case, because the law
        does not depend on settings.
    """
    return [
        pytest.param(
            row,
            case,
            id=f"{row.name}-{case}",
            marks=()
            if case == usual(row, cases(row)) and (row.name in FIRST or not once)
            else EXHAUSTIVE,
        )
        for row in rows
        for case in cases(row)
    ]
