"""Links from pages to files that are no pages lead to the repository."""

import re
from pathlib import Path
from typing import Any

REPOSITORY = "https://github.com/gradtx/gradtx/blob/main/"
LINK = re.compile(r"(?<!!)(\[[^\]]*\])\(([^)#:]+)(#[^)]*)?\)")


def setup(app: Any) -> dict[str, Any]:
    """Rewrite links when a page is read."""
    app.connect("source-read", _rewrite)
    return {"parallel_read_safe": True}


def _rewrite(app: Any, docname: str, source: list[str]) -> None:
    here = (Path(app.srcdir) / docname).parent
    root = Path(app.srcdir).parent

    def led(match: re.Match[str]) -> str:
        text, target, anchor = match.groups()
        found = (here / target).resolve()
        if not found.exists():  # an included file counts from the root
            found = (root / target).resolve()
        page = found.suffix == ".md" and found.is_relative_to(app.srcdir)
        if page:
            inside = found.relative_to(app.srcdir)
            return f"{text}(/{inside}{anchor or ''})"
        if not found.exists() or not found.is_relative_to(root):
            return match[0]
        return f"{text}({REPOSITORY}{found.relative_to(root)})"

    source[0] = LINK.sub(led, source[0])
