"""Tables and trees: in plain text, and by the package rich where it is installed."""

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

Row = Sequence[str]


class Node(NamedTuple):
    """A line of a tree, and those below it."""

    text: str
    below: tuple["Node", ...] = ()


class Table(NamedTuple):
    """Rows under a head.

    Args:
      head: what is in each column; a column of numbers is called so by a ">" in front.
      rows: the cells.
      title: what stands above.
    """

    head: Row
    rows: tuple[Row, ...]
    title: str = ""


class Shown:
    """What is printed as a page of tables and trees.

    ``str(x)`` is plain text; ``rich.print(x)`` and ``x.show()`` draw.
    """

    def page(self) -> Iterable[Any]:
        """Return the tables, trees and lines of text, from the top."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n\n".join(map(_plain, self.page()))

    def __rich__(self) -> Any:
        """Return the page for rich."""
        from rich.console import Group  # noqa: PLC0415

        return Group(*map(_rich, self.page()))

    def show(self) -> None:
        """Print it: drawn by rich where that is installed, else in plain text."""
        if importlib.util.find_spec("rich") is None:
            sys.stdout.write(f"{self}\n")
            return
        from rich.console import Console  # noqa: PLC0415

        Console().print(self)


def size(number: float) -> str:
    """Write a number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000:  # noqa: PLR2004
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _plain(part: Any) -> str:
    if isinstance(part, Node):
        return "\n".join(_branches(part))
    return _columns(part) if isinstance(part, Table) else str(part)


def _branches(node: Node) -> list[str]:
    rows = [node.text]
    for i, below in enumerate(node.below):
        last = i == len(node.below) - 1
        first, *rest = _branches(below)
        rows.append(("└── " if last else "├── ") + first)
        rows += [("    " if last else "│   ") + row for row in rest]
    return rows


def _columns(table: Table) -> str:
    right = [name.startswith(">") for name in table.head]
    rows = [[name.lstrip(">") for name in table.head], *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    texts = [table.title] if table.title else []
    for row in rows:
        cells = zip(row, widths, right, strict=True)
        padded = [x.rjust(n) if r else x.ljust(n) for x, n, r in cells]
        texts.append("  ".join(padded).rstrip())
    return "\n".join(texts)


def _rich(part: Any) -> Any:
    from rich.text import Text  # noqa: PLC0415

    if isinstance(part, Node):
        return _rich_tree(part)
    return _rich_table(part) if isinstance(part, Table) else Text(str(part))


def _rich_tree(node: Node) -> Any:
    from rich.text import Text  # noqa: PLC0415
    from rich.tree import Tree  # noqa: PLC0415

    tree = Tree(Text(node.text))
    for below in node.below:
        tree.add(_rich_tree(below))
    return tree


def _rich_table(table: Table) -> Any:
    from rich.table import Table as Drawn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Drawn(title=table.title or None)
    for name in table.head:
        drawn.add_column(
            name.lstrip(">"), justify="right" if name.startswith(">") else "left"
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn
