"""The README and the docs say what is true: code runs, tables are not stale."""

import doctest
import re
from pathlib import Path

import jax
import pytest
import readme

import gradtx

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
# What a page of the site shows is run when the site is built, too.
WITH_CODE = [
    PAGES[0],
    *(pytest.param(x, marks=pytest.mark.exhaustive) for x in PAGES[1:]),
]
MOST = 200  # lines of the README


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_code_runs(page: Path) -> None:
    """Every block of Python runs, in order, and prints what it says it prints."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names: dict[str, object] = {"jax": jax, "jnp": jax.numpy, "gradtx": gradtx}
    with jax.numpy_rank_promotion("allow"):
        for number, block in enumerate(blocks):
            if not block.startswith(">>>"):
                exec(compile(block, f"{page.name} block {number}", "exec"), names)  # noqa: S102
                continue
            parsed = doctest.DocTestParser().get_doctest(block, names, "README", "", 0)
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
            runner.run(parsed, clear_globs=False)
            assert not runner.failures, block


def test_the_readme_is_one_that_people_read() -> None:
    """It has at most 200 lines, and code."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= MOST
    assert text.count("```python") >= 6


@pytest.mark.parametrize("name", readme.TABLES)
def test_the_tables_are_not_stale(name: str) -> None:
    """A generated table stands in its page as it would be generated now."""
    table, page = readme.TABLES[name](), readme.PAGE.read_text()
    assert table in page, "run `PYTHONPATH=. python tests/readme.py`"


@every_page
def test_the_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture is a file, or made with the site."""
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [
        target
        for target in targets
        if not target.startswith(("https://", "made/"))
        and not (page.parent / target).exists()
    ]
    assert not missing
