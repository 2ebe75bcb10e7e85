"""The measure of outcomes: the course of the rate, and the share of the steps."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("rich")

import gradtx
from benchmarks import outcomes
from benchmarks.outcome_methods import CANDIDATES, Course
from benchmarks.outcome_page import crossing, load, measured_ratios, share, table
from benchmarks.outcome_times import ratios
from gradtx.compare.builtin.data import Data, Split
from gradtx.compare.builtin.models import DigitNetwork
from gradtx.compare.builtin.tasks import PROBLEMS, classification


def found(losses, title="it"):
    """Make what is written of a method: final losses by length and seed."""
    return {
        "title": title,
        "lengths": [50, 100],
        "loss": losses,
        "accuracy": [[0.5, 0.5], [0.6, 0.6]],
        "state_bytes_per_parameter": 8.0,
        "trials": 5,
        "best": {"learning_rate": 0.01, "b2": 0.99, "length": 100.0, "linear": 1.0},
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


def test_an_average_ends_with_its_run():
    """After the last step of a short run, weights to evaluate with stay as they are."""
    course, params = Course(0.1, 3.0, flat=1.0), jnp.ones(2)
    tx = CANDIDATES["schedule_free"].build(course, weight_decay=0.1, b1=0.9, b2=0.9)
    state, seen = tx.init(params), []
    for _ in range(5):
        updates, state = tx.update(2 * params, state, params)
        params = gradtx.apply_updates(params, updates)
        seen.append(np.asarray(gradtx.eval_params(state, params)))
    assert (seen[2] != seen[1]).all()
    np.testing.assert_array_equal(seen[4], seen[2])


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
    assert lines[2].startswith("| AdamW | 1.00 | 1.00 to 1.00 | 2.100 ±0.141 |")
    assert lines[2].endswith("| 0.01 | b2 0.99, line |")
    assert lines[3].startswith("| Lost | > 1 | > 1 to > 1 | diverged |")


def test_the_time_to_adamws_end_is_the_steps_times_what_one_costs():
    """Turns add up, and a method with twice the step and 3/4 of the steps takes 1.5."""
    ratio = ratios(np.array([[1.0, 2.0], [1.0, 4.0], [2.0, 2.0]]), base=0)
    np.testing.assert_allclose(ratio, [[1, 1, 1], [2, 1, 4]])
    better = found([[2.5, 2.7], [1.5, 1.7]], "Better")
    both = {"adamw": BASE, "better": better}
    lines = table(both, dict(zip(both, ratio.tolist(), strict=True))).splitlines()
    assert lines[2].startswith("| Better | 0.75 |")
    assert lines[2].endswith("| 2.00 (1.00 to 4.00) | 1.50 |")


def test_what_is_there_is_not_run_again(tmp_path, monkeypatch, capsys):
    """A method whose file lies in the folder is only shown; a new one is written."""
    monkeypatch.setattr(outcomes, "outcome", lambda *_: BASE)
    asked = ["--quick", "--tasks", "digits", "--out", str(tmp_path)]
    outcomes.main([*asked, "--methods", "adamw"])
    outcomes.main([*asked, "--methods", "adamw,muon"])
    assert capsys.readouterr().out.count("is done") == 2
    assert {path.name for path in tmp_path.iterdir()} == {
        "digits-adamw.json",
        "digits-muon.json",
    }


def test_every_method_is_tuned_alike_and_can_be_built():
    """Each has two values of three settings beside its rate, and is built of them."""
    for candidate in CANDIDATES.values():
        assert [len(set(values)) for values in candidate.tuned.values()] == [2, 2, 2]
        for place in range(2):
            one = {name: values[place] for name, values in candidate.tuned.items()}
            course = Course(candidate.centre, 100.0, one.pop("linear", 0.0))
            assert callable(candidate.build(course, **one).update)


@pytest.mark.exhaustive
def test_a_method_is_tuned_and_then_trained_at_every_length():
    """What is written has all trials, and a loss of each length and seed."""
    size = outcomes.Size(steps=4, seeds=2, rates=1, small=True)
    random = np.random.default_rng(0)
    split = Split(
        jnp.asarray(random.normal(size=(6, 4, 4, 1)), jnp.float32), jnp.arange(6) % 3
    )
    task = classification("tiny", DigitNetwork(1), Data(split, split, split), 2)
    it = outcomes.outcome(task, CANDIDATES["lion"], size)
    assert it["trials"] == len(it["tuning_loss"]) == 8
    assert it["lengths"] == [2, 2, 3, 3, 4]
    assert np.array(it["loss"]).shape == np.array(it["accuracy"]).shape == (5, 2)
    assert it["loss"][0] == it["loss"][1] != it["loss"][2]
    np.testing.assert_allclose(it["loss"][-1][0], min(it["tuning_loss"]), rtol=1e-4)


def test_the_page_has_the_table_of_the_figures_beside_it():
    """The page shows each task of which figures are committed, as they are."""
    docs = Path(__file__).parents[2] / "docs"
    page, place = (docs / "outcomes.md").read_text("utf-8"), docs / "outcomes"
    tasks = [task for task in PROBLEMS if (place / f"{task}-adamw.json").exists()]
    for task in tasks:
        found = load(place, task)
        assert table(found, measured_ratios(place, task, found)) in page
