"""The names that a file of code uses, which are not the words that it contains."""

import ast
from functools import cache
from pathlib import Path


@cache
def written(path: Path) -> set[str]:
    """Return the names and attributes that stand in the code of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {name for node in nodes if (name := _name(node))}


@cache
def called(path: Path) -> set[str]:
    """Return the names of what a file calls."""
    nodes = ast.walk(ast.parse(path.read_text()))
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    return {name for function in calls if (name := _name(function))}


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
