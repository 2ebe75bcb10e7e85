"""Pages made of headings, paragraphs, points, tables and pictures."""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gradtx.compare.table import Cells, markdown


class Heading(NamedTuple):
    """A heading of a level from 1, the title, to 3."""

    text: str
    level: int

    def markdown(self) -> str:
        """Write it as Markdown."""
        return f"{'#' * self.level} {self.text}"

    def html(self, _: Path) -> str:
        """Write it as HTML."""
        return f"<h{self.level}>{_inline(self.text)}</h{self.level}>"


class Paragraph(NamedTuple):
    """Sentences, in which stars and backquotes mean what they do in Markdown."""

    text: str

    def markdown(self) -> str:
        """Write it as Markdown."""
        return self.text

    def html(self, _: Path) -> str:
        """Write it as HTML."""
        return f"<p>{_inline(self.text)}</p>"


class Points(NamedTuple):
    """A list of sentences."""

    texts: Sequence[str]

    def markdown(self) -> str:
        """Write it as Markdown."""
        return "\n".join(f"- {text}" for text in self.texts)

    def html(self, _: Path) -> str:
        """Write it as HTML."""
        return f"<ul>{''.join(f'<li>{_inline(text)}</li>' for text in self.texts)}</ul>"


class Table(NamedTuple):
    """Lines of cells, the heads first."""

    lines: list[Cells]

    def markdown(self) -> str:
        """Write it as Markdown."""
        return markdown(self.lines)

    def html(self, _: Path) -> str:
        """Write it as HTML."""
        heads, *rows = self.lines
        body = [_line(heads, "th"), *(_line(row, "td") for row in rows)]
        return f"<table>{''.join(body)}</table>"


class Picture(NamedTuple):
    """A PNG that lies beside the page."""

    name: str

    def markdown(self) -> str:
        """Write it as Markdown."""
        return f"![{Path(self.name).stem}]({self.name})"

    def html(self, folder: Path) -> str:
        """Write it as HTML that holds the picture itself."""
        data = base64.b64encode((folder / self.name).read_bytes()).decode()
        alt = html.escape(Path(self.name).stem)
        return f'<img alt="{alt}" src="data:image/png;base64,{data}">'


Part = Heading | Paragraph | Points | Table | Picture

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;"
    "padding:0 1rem;color:#333}table{border-collapse:collapse;font-size:.9em;"
    "display:block;overflow-x:auto}"
    "td,th{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%;display:block}"
)


def markdown_page(parts: Sequence[Part]) -> str:
    """Write a page as Markdown."""
    return "\n\n".join(part.markdown() for part in parts) + "\n"


def html_page(parts: Sequence[Part], folder: Path) -> str:
    """Write a page as one HTML file that needs no other.

    Args:
      parts: from top to bottom, the title first.
      folder: where the pictures lie.
    """
    body = "\n".join(part.html(folder) for part in parts)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(parts[0][0])}</title>\n<style>{STYLE}</style>\n"  # pyright: ignore[reportArgumentType]
        f"{body}\n</html>\n"
    )


def _line(cells: Cells, tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_inline(cell)}</{tag}>' for cell in cells)}</tr>"


def _inline(text: str) -> str:
    """Write bold, slanted and code as HTML; all else as it is."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"(?<!\w)\*([^*]+)\*(?!\w)", r"<i>\1</i>", text)
