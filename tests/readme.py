"""Make the table of methods from the catalogue: `python tests/readme.py` writes it."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catalogue

PAGE = Path(__file__).parent.parent / "docs" / "methods.md"


def methods() -> str:
    """Return the table of the methods that have a card."""
    rows = [row for row in catalogue.ROWS if row.card is not None]
    head = (
        "| method | equations | gradtx | state | when to use |\n|---|---|---|---|---|\n"
    )
    return head + "\n".join(_method(row) for row in rows) + "\n"


def _method(row: catalogue.Row) -> str:
    card = row.card
    assert card is not None
    return (
        f"| **{card.title}**<br>{card.source} | {card.equations} | `{_call(row)}` "
        f"| {row.state_bytes:g} | {card.when} |"
    )


def _call(row: catalogue.Row) -> str:
    """Write the call with its defaults, and with the settings that make the method."""
    recipe = row.build().recipe
    arguments = [
        _argument(name, recipe.arguments[name], parameter.default)
        for name, parameter in recipe.factory.signature.parameters.items()
    ]
    return f"{recipe.factory.name}({', '.join(filter(None, arguments))})"


def _argument(name: str, value: Any, default: Any) -> str:
    if name == "learning_rate":
        return "η"
    if default is inspect.Parameter.empty:
        return name
    if not default and value:  # None or False, and this method sets it
        return f"{name}={value!r}"
    return f"{name}={default!r}" if default is not None else ""


TABLES: dict[str, Callable[[], str]] = {"methods": methods}


def main() -> None:
    """Write every table between its marks."""
    text = PAGE.read_text()
    for name, table in TABLES.items():
        block = f"<!-- {name} -->\n{table()}<!-- /{name} -->"
        text = re.sub(
            f"<!-- {name} -->.*?<!-- /{name} -->",
            lambda _, b=block: b,
            text,
            flags=re.DOTALL,
        )
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
