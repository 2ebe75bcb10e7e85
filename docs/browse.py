"""Look at the built site in a browser: `python docs/browse.py site [pictures]`.

On every page, wide and narrow, one light and the other dark, in turn: no error, no
request beyond the site, no sideways scroll, text with enough contrast, every picture
shows and has words. A page of each kind is looked at in all four ways. Then the
equations of docstrings keep their lines, the search finds Muon's page, and the button
copies. With a folder for pictures, pages are photographed too.
"""

import functools
import http.server
import inspect
import shutil
import sys
import threading
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "tests")]

from _ext.docstrings import equations
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

import gradtx

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]
PERMISSIONS = ["clipboard-read", "clipboard-write"]
# Pages take the first pair of looks and the second in turn.
LOOKS = (((1280, "light"), (390, "dark")), ((1280, "dark"), (390, "light")))
CONTRAST = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
# One page of each kind, and those that are read first: in all looks, with pictures.
THOROUGHLY = (
    *("index", "tutorial", "choosing", "methods", "optax-differences"),
    *(
        "made/gallery/muon",
        "made/gallery/index",
        "made/cookbook/muon_transformer",
        "made/api/gradtx-optimizers",
    ),
)
# The gallery's pages are made alike, and reading colors takes long.
COLORS_OF_GALLERY = 8  # two of so many are taken, one of each pair
# What scrolls sideways has a scroll bar of its own; the page has none.
SIDEWAYS = "document.documentElement.scrollWidth"
PICTURES = """() => [
    ...[...document.images].filter(x => x.offsetParent && !x.naturalWidth).map(
        x => `the picture ${x.src} does not show`),
    ...[...document.images].filter(x => !x.alt).map(
        x => `the picture ${x.src} has no words`),
    ...[...document.querySelectorAll("svg[role=img]")].filter(
        x => !x.getAttribute("aria-label") || !x.getBoundingClientRect().width).map(
        x => `a drawing has no words or no width: ${x.outerHTML.slice(0, 80)}`)]"""
LITERAL = """() => Object.fromEntries(
    [...document.querySelectorAll("dl.py:not(.data) > dt[id]")].map(x => [
        x.id, [...x.parentElement.querySelectorAll("pre")].map(
            y => y.innerText.trimEnd())]))"""


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves the site without a word."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main(site: Path, pictures: Path | None = None) -> int:
    """Look at all pages; tell what is wrong, and how much."""
    program = found_browser()
    if program is None:
        print(f"not looked at in a browser: there is none of {', '.join(BROWSERS)}")
        return 0
    names = [str(x.relative_to(site)) for x in sorted(site.rglob("*.html"))]
    serve = functools.partial(Server, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=ARGUMENTS)
        context = browser.new_context(permissions=PERMISSIONS)
        page = context.new_page()
        for look in (_seen(page, address, names, pictures), _used(page, address)):
            for line in look:
                print(line, flush=True)
                wrong.append(line)
        browser.close()
    server.shutdown()
    print(f"{len(names)} pages in a browser, {len(wrong)} faults")
    return bool(wrong)


def found_browser() -> str | None:
    """Return where a browser is; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _seen(
    page: Page, address: str, names: list[str], pictures: Path | None
) -> Iterator[str]:
    """Look at all pages in two widths and two color schemes, some in all four pairs."""
    heard: list[str] = []
    page.on("console", lambda x: x.type == "error" and heard.append(x.text))
    page.on("pageerror", lambda x: heard.append(str(x)))
    page.on("requestfailed", lambda x: heard.append(f"{x.url} failed"))
    page.on("request", lambda x: _beyond(x.url, address) and heard.append(x.url))
    for number, name in enumerate(names):
        thorough = name.removesuffix(".html") in THOROUGHLY
        page.goto(address + name)
        found = page.evaluate(PICTURES)
        if name.startswith("made/api/"):
            found += _unread(page)
        for width, scheme in sum(LOOKS, ()) if thorough else LOOKS[number % 2]:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            wide = page.evaluate(SIDEWAYS)
            found += [f"{wide} pixels wide at {width}"] if wide > width else []
            if thorough or _has_own_colors(name, number):
                found += [f"{scheme}: {x}" for x in _pale(page)]
            if pictures and thorough:
                shown = f"{name.replace('/', '-')}-{width}-{scheme}.png"
                page.screenshot(path=pictures / shown)
        yield from (f"{name}: {x}" for x in [*found, *heard])
        heard.clear()


def _has_own_colors(name: str, number: int) -> bool:
    """Whether the contrast of a page is read: of the gallery two of eight, in turn."""
    return not name.startswith("made/gallery/") or number % COLORS_OF_GALLERY in {0, 1}


def _beyond(url: str, address: str) -> bool:
    return not url.startswith((address, "data:", "blob:"))


def _pale(page: Page) -> list[str]:
    """Return what has too little contrast."""
    found = Axe().run(page, options=CONTRAST).response["violations"]
    return [
        f"too little contrast: {node['html'][:80]} {node['any'][0]['message']}"
        for rule in found
        for node in rule["nodes"]
    ]


def _used(page: Page, address: str) -> Iterator[str]:
    """Search and copy."""
    page.goto(f"{address}search.html?q=muon")
    page.wait_for_selector("#search-results li a")
    hits = page.eval_on_selector_all(
        "#search-results li a", "x => x.map(y => y.getAttribute('href'))"
    )
    if not any("muon" in x for x in hits):
        yield f"the search for muon finds {hits[:5]}"
    page.goto(f"{address}index.html")
    block = page.locator("div.highlight").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    if copied.strip() != block.locator("pre").inner_text().strip():
        yield f"the button copied {copied!r}"


def _unread(page: Page) -> Iterator[str]:
    """Yield the names whose equations have lost their lines."""
    for name, literal in page.evaluate(LITERAL).items():
        try:
            thing = attrgetter(name.removeprefix("gradtx."))(gradtx)
        except AttributeError:  # a field of a record
            continue
        seen = [_flush(x) for x in literal]
        for block in equations(inspect.getdoc(thing) or ""):
            if not any(_flush(block) in x for x in seen):
                yield f"{name} has lost lines of {block}"


def _flush(block: str) -> str:
    return "\n".join(x.strip() for x in block.splitlines())


if __name__ == "__main__":
    sys.exit(main(*(Path(x).resolve() for x in sys.argv[1:])))
