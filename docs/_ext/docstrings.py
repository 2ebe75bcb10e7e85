"""Docstrings as pages show them: equations keep their lines, signs stay signs.

Docstrings here are plain text. Before their section of arguments, a paragraph that is
indented is an equation, and becomes a literal block; elsewhere what reStructuredText
would take for markup (|x|, x*, scale_by_) is escaped, outside of backticks.
"""

import re
from itertools import pairwise
from operator import attrgetter
from textwrap import dedent
from typing import Any

import gradtx
from _ext import inventories

SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|References?|Examples?):")
QUOTED = re.compile(r"(:\w+:`[^`]*`|``[^`]*``|`[^`]*`)")
MARKUP = re.compile(r"(\\|\||\*)|(?<=\w)_(?!\w)")
BULLET = re.compile(r"\s*\* ")
ROLE = re.compile(r"(?::(\w+):)?`+~?([\w.]+)`+$")


def setup(app: Any) -> dict[str, Any]:
    """Let this come before Napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}


def _process(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    del app, what, name, thing, options
    lines[:] = shown(lines)


def equations(docstring: str) -> list[str]:
    """Return the indented paragraphs before the first section."""
    lines = docstring.splitlines()
    first = next((i for i, x in enumerate(lines) if SECTION.match(x)), len(lines))
    blocks = re.split(r"\n(?:\s*\n)+", "\n".join(lines[:first]))
    return [dedent(x).rstrip() for x in blocks if x.startswith("    ")]


def shown(lines: list[str]) -> list[str]:
    """Return the lines of a docstring as reStructuredText."""
    result: list[str] = []
    within, equation = False, False
    said = ""  # the last line that was not empty
    for before, line in pairwise(["", *lines]):
        within = within or bool(SECTION.match(line))
        indented = line.startswith("    ") and not within
        doctest = line.lstrip().startswith((">>>", "..."))
        if indented and not before.strip() and not equation:
            result += [] if said.endswith("::") else ["::", ""]
            equation = True
        elif line.strip() and not indented:
            equation = False
        result.append(line if equation or doctest else escaped(line))
        said = line.strip() or said
    return result


def escaped(line: str) -> str:
    """Escape markup outside of backticks, but for bullets; complete references."""
    bullet = BULLET.match(line)
    start = bullet.end() if bullet else 0
    parts = QUOTED.split(line[start:])
    return line[:start] + "".join(
        _complete(part) if i % 2 else MARKUP.sub(r"\\\g<0>", part)
        for i, part in enumerate(parts)
    )


def _complete(quoted: str) -> str:
    """Let a reference lead to the public name, ours or another library's, if any."""
    role = ROLE.match(quoted)
    if role and role[2] in inventories.KNOWN:
        return f":py:obj:`{role[2]}`"
    if not role or not role[1]:
        return quoted
    name = role[2].removeprefix("gradtx.")
    for place in (gradtx, gradtx.contrib):
        try:
            attrgetter(name)(place)
        except AttributeError:
            continue
        return f":{role[1]}:`{place.__name__}.{name}`"
    return f"``{role[2]}``"
