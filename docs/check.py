"""Check the built site, offline: `python docs/check.py site`.

Links and anchors lead somewhere, every picture has words, no page asks for anything
beyond the site, every public name is on a page, and a newcomer's questions are answered
within two clicks from the home page.
"""

import importlib
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "tests")]

from _ext.pages import MODULES, public

# A word that the answer must contain, for each question of a newcomer.
QUESTIONS = {
    "log the rate": "gradtx.learning_rate",
    "freeze a layer": "by_path",
    "choose": "adamw",
    "resume after a change": "migrate",
    "use Muon on a transformer": "gradtx.matrices",
    "average weights": "eval_params",
    "accumulate": "accumulate",
    "train in bfloat16": "with_compensation",
    "shard": "zero1",
    "write my own": "leafwise",
}
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}
MOST = 15  # MiB of the site
NO_LOAD = {"canonical", "next", "prev", "index", "search", "author"}


class Page(HTMLParser):
    """What one page links to, loads, and says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.wordless: list[str] = []
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        """Note what a tag leads to."""
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        source = found.get(LOADED.get(tag, ""))
        if source and not NO_LOAD & set((found.get("rel") or "").split()):
            self.loads.append(source)
        if tag == "img" and not found.get("alt"):
            self.wordless.append(found.get("src", ""))


def main(site: Path) -> int:
    """Check all pages; tell what is wrong, and how much."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    wrong = [*_links(pages), *_loads(pages), *_names(pages), *_answers(site, pages)]
    files = (x for x in site.rglob("*") if ".doctrees" not in x.parts)  # Sphinx's own
    size = sum(x.stat().st_size for x in files if x.is_file()) / 2**20
    if size > MOST:
        wrong.append(f"the site has {size:.0f} MiB, more than {MOST}")
    for line in wrong:
        print(line)
    print(f"{len(pages)} pages, {size:.1f} MiB, {len(wrong)} faults")
    return bool(wrong)


def _links(pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        for link in page.links:
            found = target(path, link)
            if found is None:
                continue
            file, anchor = found
            if not file.exists():
                yield f"{path}: {link} leads nowhere"
            elif anchor and file in pages and anchor not in pages[file].anchors:
                yield f"{path}: {link} has no such anchor"


def target(path: Path, link: str) -> tuple[Path, str] | None:
    """Return the file and the anchor that a link leads to; None beyond the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    return (file / "index.html" if file.is_dir() else file), unquote(parts.fragment)


def _loads(pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        for source in page.loads:
            if urlsplit(source).netloc:
                yield f"{path}: asks {source} for something"
        for source in page.wordless:
            yield f"{path}: the picture {source} has no words"


def _names(pages: dict[Path, Page]) -> Iterator[str]:
    anchors = set().union(*(page.anchors for page in pages.values()))
    for address in ("gradtx", *(f"gradtx.{room}" for room in MODULES)):
        for name in public(importlib.import_module(address)):
            if f"{address}.{name}" not in anchors:
                yield f"{address}.{name} is on no page"


def _answers(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    home = site / "index.html"
    reached = {home}
    for _ in range(2):
        near = (target(p, x) for p in reached if p in pages for x in pages[p].links)
        reached = reached | {found[0] for found in near if found}
    for question, word in QUESTIONS.items():
        if not any(word in pages[p].text for p in reached if p in pages and p != home):
            yield f"no page within two clicks answers how to {question}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
