"""The site: what was recorded for it is of the catalogue as it is now."""

import importlib
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
DOCS = Path(__file__).parent.parent / "docs"


def test_the_runs_of_the_gallery_are_not_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method of the catalogue is in the recorded runs, with its settings."""
    monkeypatch.syspath_prepend(DOCS)
    runs = importlib.import_module("_ext.runs")
    stale = [row.name for row in runs.missing()]
    assert not stale, "run `python docs/_ext/runs.py`"
