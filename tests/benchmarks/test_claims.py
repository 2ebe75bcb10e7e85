"""What people are told, tried: the verdict follows from the figures alone."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rich")

from benchmarks import claims
from benchmarks.claim_list import (
    CLAIMS,
    COST,
    HOLDS,
    OPEN,
    REFUTED,
    SPREAD,
    Pair,
    found,
    verdict,
)
from benchmarks.claim_methods import METHODS, STEPS, rate_of
from benchmarks.claim_page import comparisons, load, page, tried, verdicts
from gradtx.compare.builtin.methods import CENTRES
from gradtx.compare.method import Method
from gradtx.compare.searching import Sweep
from gradtx.compare.training import Outcome

ROOT = Path(__file__).parents[2]


def record(best, opening=4.0):
    """Make what is written of a method that ends so at its best rate."""
    best = np.asarray(best, float)
    return {
        "loss": [(best + 1).tolist(), best.tolist(), [None] * len(best)],
        "accuracy": [0.5] * len(best),
        "opening": opening,
    }


LOW, HIGH = record([1.0, 1.1, 0.9]), record([2.0, 2.2, 1.8])
NEAR = record([1.005, 1.105, 0.905])


@pytest.mark.parametrize(
    ("one", "other", "as_good", "expected"),
    [
        (LOW, HIGH, False, HOLDS),
        (HIGH, LOW, False, REFUTED),
        (LOW, record([1.1, 1.0, 0.9]), False, OPEN),
        (NEAR, LOW, False, REFUTED),
        (NEAR, LOW, True, HOLDS),
        (HIGH, LOW, True, REFUTED),
    ],
)
def test_a_comparison_speaks_as_its_interval_lies(one, other, as_good, expected):
    """Below the margin it is for the claim, above it against, across it neither."""
    pair = Pair("text", "lion", "adam", as_good=as_good)
    its = found({"text": {"lion": one, "adam": other}}, pair)
    assert its is not None
    assert its.verdict == expected


def test_one_comparison_refutes_and_all_together_hold():
    """A claim holds if all speak for it; one that is not measured leaves it open."""
    runs = {"text": {"lion": LOW, "adam": HIGH}}
    good = found(runs, Pair("text", "lion", "adam"))
    bad = found(runs, Pair("text", "adam", "lion"))
    assert found(runs, Pair("text", "lion", "sgd")) is None
    assert verdict([good, good]) == HOLDS
    assert verdict([good, None]) == OPEN
    assert verdict([good, None, bad]) == REFUTED


def test_what_diverged_counts_as_untrained():
    """A rate that diverged costs what the untrained network has, and no more."""
    np.testing.assert_allclose(
        COST.of(LOW), (2 + 4) / 2 - 1 + np.array([0, -0.05, 0.05])
    )
    np.testing.assert_allclose(SPREAD.of(HIGH), [0, 0.2, 0.2], atol=1e-12)


def test_every_comparison_is_of_a_task_and_methods_that_are_there():
    """Each pair names a task that is run and two methods that have a rate for it."""
    for pair in (pair for claim in CLAIMS for pair in claim.tried):
        assert pair.task in STEPS
        for name in (pair.one, pair.other):
            assert METHODS[name].like in CENTRES
            assert rate_of(METHODS[name], pair.task) > 0
            assert name in claims.needed(pair.task)


def test_what_is_there_is_not_run_again(tmp_path, monkeypatch, capsys):
    """A method whose file lies in the folder is only shown; the page has a verdict."""
    monkeypatch.setattr(claims, "measured", lambda *_: LOW)
    monkeypatch.setattr(claims, "task_of", lambda *_, **__: None)
    asked = ["--quick", "--tasks", "noisy", "--out", str(tmp_path)]
    claims.main(asked)
    (tmp_path / "claims-noisy-adam.json").write_text(json.dumps(HIGH))
    claims.main(asked)
    said = capsys.readouterr().out
    assert said.count("is done") == len(claims.needed("noisy"))
    rows = page(load(tmp_path)).splitlines()
    row = next(row for row in rows if row.startswith("| AdamW against"))
    assert "| **undecided** | 1 of 2 comparisons for it, none against it |" in row


@pytest.mark.parametrize(
    ("losses", "expected"), [([3, 1, 2], [0, 1, 2]), ([1, 2, 3], [1, 0, 1])]
)
def test_the_rates_next_to_the_best_are_kept(losses, expected):
    """Those below and above it; its only neighbour twice where it is on the edge."""
    final = np.array(losses, float)[:, None]
    points = {"learning_rate": np.array([0.1, 1.0, 10.0])}
    outcome = Outcome(points, final[..., None], final, {})
    method = Method("it", "it", print, "", "", ())
    sweep = Sweep(method, outcome, int(final.argmin()), 0, inside=True)
    assert claims.neighbours(sweep) == expected


def test_the_page_has_the_verdicts_of_the_figures_beside_it():
    """Both tables of the page are those that its committed figures give."""
    docs = ROOT / "docs"
    shown, records = (docs / "claims.md").read_text("utf-8"), load(docs / "outcomes")
    assert verdicts(records) in shown
    assert comparisons(records) in shown


def test_the_guide_says_of_each_claim_what_the_figures_say():
    """Where the guide to choosing quotes a claim, its verdict follows the quote."""
    records = load(ROOT / "docs" / "outcomes")
    guide = (ROOT / "docs" / "choosing.md").read_text("utf-8")
    quoted = [claim for claim in CLAIMS if f'"{claim.told}"' in guide]
    assert quoted
    for claim in quoted:
        said = verdict(tried(records, claim))
        said = "is undecided here" if said == OPEN else said
        assert f'"{claim.told}" {said}' in guide
