"""Make the table of methods from the catalogue: `python tests/readme.py` writes it."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catalogue
import jax
import numpy as np

import gradtx
from gradtx import GradientTransformation

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


MATRIX_METHODS: dict[str, GradientTransformation] = {
    "muon, normuon": gradtx.normuon(1.0),
    "adamuon": gradtx.adamuon(1.0),
    "muown": gradtx.muown(1.0),
    "dion, rank 64": gradtx.dion(1.0, rank=64),
    "dion2": gradtx.dion2(1.0),
    "scion": gradtx.scion(1.0),
    "soap": gradtx.soap(1.0),
    "soap, one side": gradtx.soap(1.0, max_precond_dim=1024),
    "soap_muon": gradtx.soap_muon(1.0),
    "kl_soap": gradtx.kl_soap(1.0),
    "kl_shampoo": gradtx.kl_shampoo(1.0),
    "shampoo, in blocks of 1024": gradtx.shampoo(1.0, target_dims=None),
    "corrected_shampoo, the same": gradtx.corrected_shampoo(1.0, target_dims=None),
    "psgd_kron": gradtx.psgd_kron(1.0),
    "splus, with its mean of the weights": gradtx.splus(1.0),
}
SHAPES = ((768, 768), (768, 3072), (50_257, 768))


def matrix_state() -> str:
    """Return the table of the bytes that matrix methods keep for matrices."""
    names = " | ".join(f"{rows:,} x {columns:,}" for rows, columns in SHAPES)
    lines = [f"| method | {names} |", "|---" * (len(SHAPES) + 1) + "|"]
    for name, tx in MATRIX_METHODS.items():
        found = " | ".join(f"{_bytes_per_number(tx, shape):.1f}" for shape in SHAPES)
        lines.append(f"| `{name}` | {found} |")
    return "\n".join(lines) + "\n"


def _bytes_per_number(tx: GradientTransformation, shape: tuple[int, int]) -> float:
    params = {"w": jax.ShapeDtypeStruct(shape, np.float32)}
    state = jax.eval_shape(tx.init, params)
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    return size / (shape[0] * shape[1])


TABLES: dict[str, Callable[[], str]] = {
    "methods": methods,
    "state of matrix methods": matrix_state,
}


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
