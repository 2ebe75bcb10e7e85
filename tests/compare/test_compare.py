"""A comparison on a user's own task: what is refused, kept, counted and said."""

import json
import re
import subprocess
import sys
from itertools import repeat
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import compare
from gradtx.compare import measures, noise, plan, progress, searching
from gradtx.compare.training import Outcome, Trainer

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
Y = X @ np.float32([1, -2, 3]) + 0.1 * RANDOM.normal(size=24).astype(np.float32)
METHODS = {"sgd": gradtx.sgd, "adam": gradtx.adam}


def init(key: jax.Array) -> Any:
    """Draw the weights of a line."""
    return {"w": jax.random.normal(key, (3,))}


def loss(params: Any, batch: Any, key: jax.Array) -> jax.Array:
    """Return the mean square of what a line misses."""
    del key
    x, y = batch
    return ((x @ params["w"] - y) ** 2).mean()


TASK = compare.Task(init, loss, (X, Y), batch_size=8, name="a line")


def run(task: compare.Task = TASK, optimizers: Any = None, **options: Any) -> Any:
    """Run a small comparison that says nothing."""
    small = {"steps": 8, "seeds": 2, "rates": [0.03, 0.1, 0.3], "progress": False}
    return compare.run(task, optimizers or METHODS, **{**small, **options})


@pytest.fixture(scope="module")
def result() -> Any:
    """Compare two methods once."""
    return run(settings={"b2": [0.9, 0.99]}, schedule="warmup_cosine", baseline="sgd")


def test_the_best_is_ready_to_use(result: Any) -> None:
    """It has the best rate, in the course of the protocol, and the best setting."""
    tx, row = result.best("adam"), result.comparison.find("adam")
    peak = row.sweep.point["learning_rate"]
    rate = gradtx.warmup_cosine_decay_schedule(0.0, peak, 0, 8)
    assert tx == gradtx.adam(rate, b2=row.sweep.point["b2"])
    swept = row.sweep.outcome
    assert row.sweep.best == int(searching.scores(swept).argmin())
    assert set(swept.points["b2"].tolist()) == set(np.float32([0.9, 0.99]).tolist())
    assert list(result.comparison.find("sgd").sweep.point) == ["learning_rate"]


def test_the_figures_are_json_and_the_page_needs_no_network(
    result: Any, tmp_path: Path
) -> None:
    """The page holds its pictures; the figures hold each run and each seed."""
    report = result.report(tmp_path / "new")
    page = (report.parent / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<td>adam</td>" in page
    assert "`adam(" in report.read_text()
    figures = json.loads((report.parent / "results.json").read_text())
    adam = figures["methods"]["adam"]
    assert np.shape(adam["sweep"]["final_loss"]) == (adam["runs"] // 2, 2)
    assert adam["best"]["b2"] in (0.9, 0.99)
    assert figures["baseline"] == "sgd"
    assert result.table() in report.read_text()


def test_a_killed_run_goes_on_to_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found before is not trained again; all but the times is the same."""
    whole = json.loads(run().to_json())
    trained: list[str] = []
    train = Trainer.run

    def dying(self: Any, program: Any, points: Any, tick: Any) -> Any:
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append("")
        return train(self, program, points, tick)

    monkeypatch.setattr(Trainer, "run", dying)
    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path)
    monkeypatch.setattr(Trainer, "run", train)
    run(out=tmp_path)
    monkeypatch.setattr(Trainer, "run", None)  # nothing is left to train
    again = json.loads(run(out=tmp_path).to_json())
    for method in (*whole["methods"].values(), *again["methods"].values()):
        method["seconds_per_step"] = 0
    assert again == whole
    with pytest.raises(TypeError):
        run(TASK._replace(loss=lambda *a: 2 * loss(*a)), out=tmp_path)


def test_what_does_not_fit_is_trained_in_chunks_and_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The figures are those of one chunk; a line says how many there are."""
    one = run(optimizers={"sgd": gradtx.sgd})
    assert capsys.readouterr().out == ""
    many = run(optimizers={"sgd": gradtx.sgd}, memory=1, progress=True)
    said = capsys.readouterr().out
    assert "sgd: in 6 chunks of 1 runs" in said
    assert re.search(r"sgd: final loss \S+ at a rate of 0\.\d", said)
    both = [found.comparison.rows[0].sweep.outcome for found in (one, many)]
    np.testing.assert_allclose(both[0].final, both[1].final, rtol=1e-5)
    assert many.comparison.rows[0].cost.chunks == 6


def test_a_bar_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There it ends full, under the lines that stay; elsewhere there are lines only."""
    assert type(progress.display()) is progress.Lines
    assert type(progress.display(shown=False)) is progress.Quiet
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with progress.display() as bar:
        assert type(bar) is progress.Bar
        bar.total(2)
        bar.say("sgd: compiling")
        bar.line("sgd: [0.1]")
        bar.tick()
        bar.tick()
    said = capsys.readouterr().out
    assert "sgd: [0.1]\n" in said
    assert "100 %" in said


def test_chunks_are_equal_and_never_too_large() -> None:
    """Seeds are parted only where those of one point do not fit."""
    assert plan.plan(9, 3, 10, 1000) == plan.Plan(9, 3, 10)
    assert plan.plan(9, 3, 10, 150) == plan.Plan(5, 3, 10)
    assert plan.plan(9, 3, 10, 29) == plan.Plan(1, 2, 10)
    assert plan.plan(9, 3, 10, 1) == plan.Plan(1, 1, 10)
    assert plan.plan(9, 3, 10, 150).chunks(9, 3) == 2
    groups = plan.groups(5, 2)
    assert [group.tolist() for group in groups] == [[0, 1], [2, 3], [4, 4]]


def test_divergence_is_counted() -> None:
    """A method that is nowhere finite has a row, a count, and no best."""
    blown = {"sgd": gradtx.sgd, "blown": lambda rate: gradtx.sgd(1e30 * rate)}
    rates = {"sgd": [0.1], "blown": [1.0]}
    found = run(optimizers=blown, rates=rates, baseline="blown")
    assert found.comparison.goal == found.comparison.target
    figures = json.loads(found.to_json())["methods"]["blown"]
    assert figures["diverged"] == figures["runs"] == 2
    assert "| blown | diverged |" in found.table()
    assert "0.1 (given)" in found.table()
    with pytest.raises(ValueError, match="blown diverged at every rate"):
        found.best("blown")
    with pytest.raises(ValueError, match="there is no 'lion', only sgd, blown"):
        found.best("lion")


@pytest.mark.parametrize(
    ("changes", "options", "complaint"),
    [
        ({"loss": lambda p, b, k: jnp.log(-loss(p, b, k))}, {}, "loss: is .nan, nan."),
        ({"loss": lambda p, b, _: b[0] @ p["w"]}, {}, "one real number, got an array"),
        (
            {"loss": lambda *_: 1},
            {},
            "one real number, got .* type int32",
        ),
        ({"init": lambda _: {"n": jnp.arange(3)}}, {}, "init gives at .*n"),
        ({"init": lambda _: {}}, {}, "init: gives no parameters"),
        ({"batches": iter([(X, Y)] * 3)}, {}, "end after 3, and 8 steps"),
        ({"batches": (X, Y[:5])}, {}, r"first axes of lengths \[5, 24\]"),
        ({"batch_size": 25}, {}, "from 1 to the 24 examples"),
        ({"evaluate": lambda _: 1.0}, {}, "evaluate: must return a dict"),
        ({"evaluate": lambda p: p}, {}, "evaluate: 'w' must be one real number"),
        ({}, {"rates": []}, "rates: there is none to try"),
        ({}, {"rates": {"adam": []}}, "rates of adam: there is none"),
        ({}, {"rates": {"lion": [1]}}, "rates: there is no optimizer lion"),
        ({}, {"rates": [0.1, -0.1]}, "must be positive"),
        ({}, {"rates": [0.1, 0.1]}, "one stands twice"),
        ({}, {"settings": {"b2": []}}, "b2 has no values"),
        ({}, {"settings": {"b7": [1]}}, "no optimizer takes b7"),
        ({}, {"settings": {"lion": {"b1": [1]}}}, "no optimizer lion"),
        ({}, {"steps": 0}, "steps: must be a whole number"),
        ({}, {"seeds": 1.5}, "seeds: must be a whole number"),
        ({}, {"schedule": "square"}, "schedule: there are constant"),
        ({}, {"search": "luck"}, "search: must be"),
        ({}, {"baseline": "lion"}, "baseline: there is no 'lion'"),
        ({}, {"optimizers": {"sgd": gradtx.sgd(0.1)}}, "must be a function"),
        ({}, {"optimizers": {"mine": lambda _: 3}}, "mine cannot train a line"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    changes: Any, options: Any, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has been compiled for a sweep when the error comes."""
    monkeypatch.setattr(Trainer, "compile", None)
    with pytest.raises(ValueError, match=complaint):
        run(TASK._replace(**changes), **options)


def test_no_optimizer_is_refused() -> None:
    """An empty comparison is an error."""
    with pytest.raises(ValueError, match="optimizers: there is none"):
        compare.run(TASK, {}, steps=1)


@pytest.mark.parametrize(
    "batches",
    [
        repeat((X[:8], Y[:8])),
        lambda _: repeat((X[:8], Y[:8])),
        [{"x": X[:8], "y": list(Y[:8])}] * 8,
    ],
)
@pytest.mark.one_in(2)
def test_batches_may_be_iterated(batches: Any) -> None:
    """An iterator, a function of the seed and a loader give the same figures."""

    def either(params: Any, batch: Any, key: Any) -> Any:
        pair = (batch["x"], jnp.stack(batch["y"])) if isinstance(batch, dict) else batch
        return loss(params, pair, key)

    one = TASK._replace(batches=(X[:8], Y[:8]))
    other = one._replace(batches=batches, loss=either)
    expected = compare.sweep(gradtx.sgd, one, [0.1], steps=8)
    got = compare.sweep(gradtx.sgd, other, [0.1], steps=8)
    np.testing.assert_allclose(got.final, expected.final, rtol=1e-4)


def test_each_step_has_a_key_of_its_own() -> None:
    """Two seeds, and two steps of one, are given different random keys."""

    def noisy(params: Any, batch: Any, key: jax.Array) -> Any:
        del batch
        return 0 * params["w"].sum() + jax.random.uniform(key)

    found = compare.sweep(
        gradtx.sgd, TASK._replace(loss=noisy), [0.1, 0.2], steps=3, seeds=2
    )
    assert len(np.unique(found.train)) == 6


def test_a_plain_sweep_takes_other_settings_too() -> None:
    """Every combination is trained, and momentum 0 is descent without any."""
    found = compare.sweep(
        gradtx.sgd, TASK, [0.1, 0.2], steps=4, settings={"momentum": [0.0, 0.9]}
    )
    np.testing.assert_allclose(found.points["momentum"], [0, 0, 0.9, 0.9], rtol=1e-6)
    plain = compare.sweep(gradtx.sgd, TASK, [0.1, 0.2], steps=4)
    np.testing.assert_allclose(found.final[:2], plain.final, rtol=1e-5)
    assert (found.final[2:] != plain.final).all()


def test_halving_spends_less_and_ends_fine() -> None:
    """The neighbours of the best end within a grid step, and it is found."""
    tried = []

    def train(points: Any) -> Outcome:
        rates = points["learning_rate"]
        tried.extend(rates.tolist())
        final = np.abs(np.log10(rates) + 2.3)[:, None]
        return Outcome(points, final[..., None], final, {})

    rates = np.geomspace(1e-4, 1.0, 13)
    first = searching.first_points(rates, [{}], "bisect")
    found = searching.search(train, None, first, "bisect")  # type: ignore[arg-type]
    assert found.inside
    assert len(tried) < len(rates)
    assert abs(np.log10(found.point["learning_rate"]) + 2.3) < 1 / 6


def test_a_difference_that_the_seeds_do_not_bear_out_is_noise() -> None:
    """The interval holds zero where seeds disagree, or where there is one only."""
    base = np.arange(5.0)
    assert noise.difference(base + 1, base).certain
    assert noise.difference(base + 1, base).mean == 1
    assert not noise.difference(base + np.array([1, -1, 1, -1, 1]), base).certain
    assert not noise.difference(base[:1] + 1, base[:1]).certain
    assert noise.by_chance(5) == 1 / 16


def test_a_tie_is_said_to_be_one(result: Any) -> None:
    """Against itself moved up and down by seed, a method is not said to end lower."""
    from gradtx.compare.guide import against  # noqa: PLC0415

    row = result.comparison.find("sgd")
    other = row._replace(losses=row.losses + np.array([0.1, -0.1]))
    assert against(row, other).startswith("cannot be told from sgd")
    other = row._replace(losses=row.losses + np.array([0.1, 0.2]))
    assert against(row, other).startswith("ends lower than sgd")
    assert isinstance(row, measures.Row)


@pytest.mark.parametrize("tx", [gradtx.adam(1.0), gradtx.adam])
@pytest.mark.one_in(2)
def test_a_range_test_suggests_a_rate_that_trains(tx: Any, tmp_path: Path) -> None:
    """The suggestion is a tenth of the rate of the lowest loss, and is drawn."""
    task = TASK._replace(batch_size=24)
    found = compare.find_learning_rate(tx, task, low=1e-4, high=100.0, steps=60)
    assert found.suggestion == pytest.approx(found.rates[found.losses.argmin()] / 10)
    assert "a tenth of that rate" in found.reason
    assert found.plot(tmp_path / "range.png").stat().st_size > 5000
    trained = compare.sweep(gradtx.adam, task, [found.suggestion], steps=60)
    assert trained.final.mean() < 0.5 * trained.train[0, 0, 0]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"low": 1.0, "high": 0.1}, "0 < low < high"),
        ({"steps": 9}, "at least 10"),
        ({"high": 2e-6}, "the loss fell at no rate"),
        ({"tx": 0.1}, "must be made by gradtx"),
    ],
)
def test_a_range_test_says_why_it_found_nothing(options: Any, complaint: str) -> None:
    """Bounds, steps, and a range without a fall are told."""
    task = TASK._replace(batch_size=24)
    tx = options.pop("tx", gradtx.sgd(0.1))
    with pytest.raises(ValueError, match=complaint):
        compare.find_learning_rate(tx, task, **options)


WITHOUT = """
import sys
import gradtx, jax.numpy as jnp
heavy = ("matplotlib", "rich", "flax", "sklearn", "PIL")
assert not [name for name in heavy if name in sys.modules]
for name in heavy:
    sys.modules[name] = None
loss = lambda p, b, k: (p**2).sum()
task = gradtx.compare.Task(lambda k: jnp.ones(2), loss, jnp.ones(4), batch_size=1)
result = gradtx.compare.run(task, {"sgd": gradtx.sgd}, steps=2, seeds=1, rates=[0.1])
try:
    result.plot(".")
except ImportError as error:
    print(error)
"""


def test_a_comparison_needs_jax_alone() -> None:
    """Pictures say what to install; all else works without."""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", WITHOUT],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "a picture needs matplotlib" in ended.stdout
    assert "pip install 'gradtx[examples]'" in ended.stdout
