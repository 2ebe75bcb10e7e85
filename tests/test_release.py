"""What is released: one version everywhere, and no break with the one before."""

import re
import tomllib
from pathlib import Path

import pytest
import signatures

import gradtx

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECORDED = signatures.recorded()

# Before any test imports the package anew, under another name.
NOW = signatures.public()


def test_one_version_is_told_everywhere() -> None:
    """The newest section of the changelog, the citation and the recipe agree."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    version, date = re.findall(r"^## (\d\S*) - (\S+)$", changelog, re.MULTILINE)[0]
    citation = (ROOT / "CITATION.cff").read_text()
    assert gradtx.__version__ == version
    assert f"\nversion: {version}\n" in citation
    assert f"\ndate-released: {date}\n" in citation
    assert f'version: "{version}"' in (ROOT / ".ci/conda/recipe.yaml").read_text()


def test_the_recipe_needs_what_the_project_needs() -> None:
    """Conda installs the Python and the libraries that pip does."""
    recipe = (ROOT / ".ci/conda/recipe.yaml").read_text()
    wanted = [f"python{PROJECT['requires-python']}", *PROJECT["dependencies"]]
    assert not [x for x in wanted if f"- {x.replace('>=', ' >=')}\n" not in recipe]


def test_released_names_keep_their_signatures() -> None:
    """A call that fits the version released last means the same now."""
    told = []
    for name, was in RECORDED["signatures"].items():
        changes = signatures.broken(was, NOW[name]) if name in NOW else ["is gone"]
        told += [f"{name}: {change}" for change in changes]
    assert not told, f"since {RECORDED['version']}; see docs/versions.md"


SAME = [
    ("(a, b=1)", "(a, b=1)"),
    ("(a, b=1)", "(a, b=1, c=None)"),
    ("(a, *, b=1)", "(a, b=1)"),
    ("(a)", "(a=0)"),
    ("(a, *, c=1)", "(a, *args, b=2, c=1, **kwargs)"),
]
BREAKS = {
    "'b' is gone": ("(a, b=1)", "(a)"),
    "'a' is positional only": ("(a)", "(a, /)"),
    "'a' has lost its default": ("(a=1)", "(a)"),
    "'a' was 1 by default and is 2": ("(a=1)", "(a=2)"),
    "'b' is new and has no default": ("(a)", "(a, b)"),
    "the order was a, b": ("(a=1, b=1)", "(b=1, a=1)"),
    "the order was b": ("(b=1)", "(*, b=1)"),
    "** is gone": ("(a, **kwargs)", "(a)"),
}


@pytest.mark.parametrize(("old", "new"), SAME)
def test_what_only_adds_is_no_break(old: str, new: str) -> None:
    """An argument with a default may be added behind the others, or take more."""
    assert signatures.broken(old, new) == []


@pytest.mark.parametrize("text", BREAKS)
def test_a_break_is_told(text: str) -> None:
    """What a caller would meet is said in so many words."""
    assert signatures.broken(*BREAKS[text]) == [text]
