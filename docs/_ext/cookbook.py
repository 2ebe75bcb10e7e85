"""The cookbook: a page for each program of `examples/cookbook`, with its output."""

import ast
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "cookbook"
FRONT = """---
file_format: mystnb
kernelspec:
  name: python3
---
"""


def pages() -> Iterator[tuple[str, str]]:
    """Yield the pages, and the one that lists them."""
    rows, names = [], []
    for path in sorted(FOLDER.glob("*.py")):
        code = path.read_text()
        about = ast.get_docstring(ast.parse(code)) or ""
        question, _, more = about.partition("\n\n")
        title = path.stem.replace("_", " ").capitalize()
        body = code.split('"""', 2)[2].strip()
        cell = f"```{{code-cell}} python\n{body}\n```\n"
        yield (
            f"cookbook/{path.stem}.md",
            f"{FRONT}\n# {title}\n\n{question}\n\n{more}\n\n{cell}",
        )
        names.append(path.stem)
        rows.append(f"- [{title}]({path.stem}.md): {question}")
    tree = "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])
    yield (
        "cookbook/index.md",
        "# Cookbook\n\nOne short program for each question, run when this site is "
        "built.\n\n" + "\n".join(rows) + f"\n\n{tree}\n",
    )
