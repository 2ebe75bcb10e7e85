"""The measure of outcomes: the course of the rate, and the share of the steps."""

import numpy as np
import pytest

pytest.importorskip("rich")

from benchmarks import outcomes
from benchmarks.outcome_methods import CANDIDATES, Course
from benchmarks.outcome_page import crossing, share, table


def found(losses, title="it"):
    """Make what is written of a method: final losses by length and seed."""
    return {
        "title": title,
        "lengths": [50, 100],
        "loss": losses,
        "accuracy": [[0.5, 0.5], [0.6, 0.6]],
        "milliseconds_per_step": 2.0,
        "state_bytes_per_parameter": 8.0,
        "trials": 5,
        "best": {"learning_rate": 0.01},
        "inside": True,
    }


BASE = found([[3.0, 3.2], [2.0, 2.2]], "AdamW")


@pytest.mark.parametrize("linear", [0.0, 1.0])
def test_a_course_ends_with_its_run_and_stays_there(linear):
    """The rate rises for a tenth, falls to 0 at the run's end, and is 0 after it."""
    rates = np.array([Course(2.0, 20.0, linear)(step) for step in range(40)])
    assert rates[1] == pytest.approx(2.0)
    assert rates[10] == pytest.approx(1.0, abs=1e-6)
    assert (np.diff(rates[1:20]) < 0).all()
    np.testing.assert_allclose(rates[19:], 0.0, atol=1e-6)


def test_a_flat_course_stays_at_its_peak_until_the_run_ends():
    """What averages by itself keeps its rate until the end, and then stops."""
    rates = np.array([Course(2.0, 20.0, flat=1.0)(step) for step in range(25)])
    np.testing.assert_allclose(rates[2:20], 2.0)
    np.testing.assert_array_equal(rates[20:], 0.0)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [([3.0, 1.0], 0.75), ([1.5, 1.0], 0.5), ([3.0, 2.5], np.inf), ([np.inf, 1], 1.0)],
)
def test_the_share_is_read_off_a_line_between_two_lengths(ends, expected):
    """Half-way between two losses is half-way between their lengths."""
    assert crossing([0.5, 1.0], np.array(ends), 2.0) == expected


def test_the_interval_comes_from_the_same_seeds_of_both():
    """Seeds that are worse for both do not widen it; the baseline's own share is 1."""
    its = share(BASE, BASE)
    assert its == (1.0, 1.0, 1.0, False)
    better = share(found([[2.5, 2.7], [1.5, 1.7]]), BASE)
    assert better.middle == better.low == better.high == pytest.approx(0.75)


def test_the_table_shows_who_did_not_get_there():
    """A run that diverged, or ends above, is said not to reach AdamW's end."""
    lost = found([[None, None], [2.5, None]], "Lost")
    lines = table({"adamw": BASE, "lost": lost}).splitlines()
    assert lines[2].startswith("| AdamW | 1.00 | 1.00 to 1.00 | 0.20 |")
    assert lines[3].startswith("| Lost | > 1 | > 1 to > 1 | never |")


def test_what_is_there_is_not_run_again(tmp_path, monkeypatch, capsys):
    """A method whose file lies in the folder is only shown; a new one is written."""
    monkeypatch.setattr(outcomes, "outcome", lambda *_, tuned: BASE | {"tuned": tuned})
    asked = ["--quick", "--tasks", "digits", "--out", str(tmp_path)]
    outcomes.main([*asked, "--methods", "adamw"])
    outcomes.main([*asked, "--methods", "adamw,muon"])
    assert capsys.readouterr().out.count("is done") == 2
    assert {path.name for path in tmp_path.iterdir()} == {
        "digits-adamw.json",
        "digits-muon.json",
    }


def test_every_method_can_be_built():
    """Each candidate makes an optimizer of a course of its rate."""
    for candidate in CANDIDATES.values():
        assert callable(candidate.build(Course(candidate.centre, 100.0)).update)
