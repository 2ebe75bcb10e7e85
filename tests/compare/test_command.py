"""The comparison of optimizers: its rules, and a small run of the whole."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module", autouse=True)
def _examples_on_the_path():
    """Let the example's own modules be found, as they are when it is run."""
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def command():
    """Load the script without running it."""
    path = EXAMPLES / "compare_optimizers.py"
    spec = importlib.util.spec_from_file_location("compare_optimizers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(rates, validation):
    """Make an outcome of one seed, with these final losses."""
    from comparison.training import Outcome  # noqa: PLC0415 -- after the fixture

    losses = np.asarray(validation, float)[:, None]
    return Outcome(np.asarray(rates, float), losses[..., None], losses, losses)


@pytest.fixture(scope="module")
def small_run(command, tmp_path_factory):
    """Run the command once, with two methods, few steps and the smallest network."""
    from comparison import tasks  # noqa: PLC0415 -- after the fixture
    from comparison.models import DigitNetwork  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("comparison") / "new" / "folder"
    original = tasks.TASKS["digits"]

    def tiny(*, quick):
        task = original(quick=quick)
        return task._replace(network=DigitNetwork(features=4), rates=9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, "digits", tiny)
        asked = ["--optimizers", "sgd,lookahead", "--steps", "4", "--seeds", "2"]
        code = command.main([*asked, "--quick", "--out", str(folder)])
    return code, folder


def test_a_run_leaves_its_report_its_figures_and_its_pictures(small_run):
    """The command ends well and writes every file that it promises."""
    code, folder = small_run
    assert code == 0
    assert {path.name for path in folder.iterdir()} == {
        "report.md",
        "results.json",
        "loss.png",
        "sensitivity.png",
        "paths.png",
        "comparison.png",
    }
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG"), path.name


def test_the_report_has_the_table_and_a_guide_from_the_run(small_run):
    """The table has every promised column; the guide names the methods that ran."""
    report = (small_run[1] / "report.md").read_text()
    header = next(line for line in report.splitlines() if line.startswith("| method"))
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "method",
        "best learning rate",
        "final loss",
        "test accuracy %",
        "steps to target",
        "rates that work",
        "state B/param",
        "time ms/step",
    ]
    assert "**The lowest loss?**" in report
    assert "arXiv 1907.08610" in report
    assert "Lion" not in report


def test_the_figures_hold_nine_rates_and_the_state_of_each(small_run):
    """Nine rates at least were tried, and state is counted in bytes per parameter."""
    figures = json.loads((small_run[1] / "results.json").read_text())
    assert list(figures["methods"]) == ["sgd", "lookahead"]
    for method in figures["methods"].values():
        rates = method["sweep"]["learning_rates"]
        assert len(rates) >= 9
        np.testing.assert_allclose(np.diff(np.log10(rates)), 1 / 3, rtol=1e-6)
        losses = np.array(method["sweep"]["validation_loss"], float).mean(axis=1)
        assert rates[int(np.nanargmin(losses))] == method["learning_rate"]
        assert len(method["final_loss"]) == 2
    stored = [row["state_bytes_per_parameter"] for row in figures["methods"].values()]
    np.testing.assert_allclose(stored, [0, 12], atol=0.05)


@pytest.mark.usefixtures("command")
def test_a_sweep_is_what_single_runs_are():
    """Each place of the stacked, vmapped run equals a plain loop with its rate."""
    from comparison.data import Data, Split  # noqa: PLC0415 -- after the fixture
    from comparison.models import DigitNetwork  # noqa: PLC0415
    from comparison.tasks import Task  # noqa: PLC0415
    from comparison.training import Trainer, loss_of  # noqa: PLC0415

    random = np.random.default_rng(0)
    images = jnp.asarray(random.normal(size=(6, 4, 4, 1)), jnp.float32)
    split = Split(images, jnp.arange(6) % 3)
    task = Task("digits", "", Data(split, split, split), DigitNetwork(1), 2, 3, 2, 9)
    trainer, rates = Trainer(task), np.array([0.01, 0.1])
    program = trainer.compile([gradtx.adam(rate) for rate in rates.tolist()])
    result = trainer.run(program, rates, gradtx.adam, lambda: None)

    @jax.jit
    def step(params, state, rows):
        batch = Split(images[rows], split.labels[rows])
        loss, gradients = jax.value_and_grad(
            lambda weights: loss_of(task, weights, batch)
        )(params)
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state, loss

    params = jax.tree.map(lambda leaf: leaf[1], trainer.start.params)
    tx, losses = gradtx.adam(0.1), []
    state = tx.init(params)
    for rows in trainer.start.batches[1]:
        params, state, loss = step(params, state, rows)
        losses.append(loss)
    np.testing.assert_allclose(result.train[1, 1], losses, rtol=1e-4)
    np.testing.assert_allclose(
        result.validation[1, 1], loss_of(task, params, split), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3, 2, 4], None),
        ([1, 2, 3], [0.001, 0.01]),
        ([3, 2, 1], [100, 1000]),
        ([np.inf, np.nan, np.inf], [0.001, 0.01]),
        ([2, 1, np.nan], None),
    ],
)
def test_a_grid_grows_past_the_edge_on_which_the_best_lies(
    losses, expected, monkeypatch
):
    """Past that edge, at the grid's spacing; downwards if every rate diverged."""
    from comparison import sweep  # noqa: PLC0415 -- after the fixture

    monkeypatch.setattr(sweep, "SPACING", 10.0)
    more = sweep.beyond(outcome([0.1, 1, 10], losses), 2)
    if expected is None:
        assert more is None
    else:
        np.testing.assert_allclose(more, expected)


def test_a_sweep_widens_until_the_best_lies_inside():
    """With the best far to the right, the grids are joined in order until it is in."""
    from comparison.methods import METHODS  # noqa: PLC0415 -- after the fixture
    from comparison.sweep import grid, sweep  # noqa: PLC0415

    seen = []

    def run(rates):
        seen.append(rates)
        return outcome(rates, np.abs(np.log10(rates) - 3.4))

    result = sweep(run, METHODS["adam"], grid(1.0, 9))
    assert result.inside
    assert result.widened == 1
    assert [len(rates) for rates in seen] == [9, 9]
    assert np.all(np.diff(result.outcome.rates) > 0)
    np.testing.assert_allclose(result.outcome.rates[result.best], 10 ** (10 / 3))


def test_a_sweep_gives_up_in_the_end_and_says_so():
    """A loss that always falls to the right ends after three widenings, not inside."""
    from comparison.methods import METHODS  # noqa: PLC0415 -- after the fixture
    from comparison.sweep import WIDENINGS, grid, sweep  # noqa: PLC0415

    result = sweep(lambda rates: outcome(rates, 1 / rates), METHODS["sgd"], grid(1, 9))
    assert not result.inside
    assert result.widened == WIDENINGS
    assert result.best == 9 * (1 + WIDENINGS) - 1


def test_the_rates_that_work_are_those_around_the_best():
    """An unbroken run counts: luck beyond a gap does not."""
    from comparison.measures import working  # noqa: PLC0415 -- after the fixture

    losses = np.array([1, 5, 2, 1, 2, np.inf, 1])
    rates = np.arange(7.0)
    assert working(rates, losses, 3, target=2) == slice(2, 5)
    assert working(rates, losses, 3, target=0.5) == slice(0, 0)


def test_steps_to_the_target_are_those_of_the_middle_seed():
    """The averaged loss must meet the target; one that diverged never does."""
    from comparison.measures import steps_to  # noqa: PLC0415 -- after the fixture

    early, late, never = [4, 1, 1, 1], [4, 4, 4, 1], [4, np.nan, 1, 1]
    assert steps_to(1, np.array([early, late, never])) == 4
    assert steps_to(1, np.array([early, never, never])) == np.inf


def test_an_average_looks_back_only():
    """The mean of the steps just past, fewer at the start; infinite once diverged."""
    from comparison.measures import smooth  # noqa: PLC0415 -- after the fixture

    np.testing.assert_allclose(smooth(np.array([4.0, 2, 0, 6]), 2), [4, 3, 1, 3])
    np.testing.assert_allclose(
        smooth(np.array([4.0, np.nan, 0]), 2), [4, *[np.inf] * 2]
    )


def test_names_beside_lines_never_touch():
    """However close lines end, their names keep a distance, an order and the frame."""
    from comparison.drawing import spread  # noqa: PLC0415 -- after the fixture

    places = np.array(spread([0.99, 0.98, 0.1, 0.985, 0.1], gap=0.05))
    assert np.diff(np.sort(places)).min() >= 0.05 - 1e-12
    assert places.max() <= 1
    assert places[1] < places[3] < places[0]


def test_text_is_read_in_one_alphabet():
    """Every character gets a place in the fixed alphabet, strange ones that of ?."""
    from comparison.data import ALPHABET, encode, text  # noqa: PLC0415

    assert [ALPHABET[code] for code in encode("a\té~\n")] == list("a   ?~\n")
    data = text(context=8, limit=900)
    assert data.train.inputs.shape == (100, 8)
    np.testing.assert_array_equal(data.train.inputs[:, 1:], data.train.labels[:, :-1])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--optimizers", "adam,sdg"], "unknown optimizer sdg"),
        (["--optimizers", ","], "unknown optimizer"),
        (["--steps", "0"], "whole number of at least 1, got '0'"),
        (["--seeds", "-1"], "whole number of at least 1, got '-1'"),
        (["--seeds", "0"], "whole number of at least 1, got '0'"),
        (["--steps", "ten"], "whole number of at least 1, got 'ten'"),
        (["--task", "chess"], "invalid choice: 'chess'"),
        (["--out", "/dev/null/here"], "cannot write to /dev/null/here"),
    ],
)
def test_a_bad_value_gets_one_clear_line(arguments, complaint, command, capsys):
    """The exit code is 2, and one line says what is wrong."""
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_options_are_read_before_anything_heavy(command):
    """The names that the command line knows are those of the tasks and methods."""
    from comparison.methods import METHODS  # noqa: PLC0415 -- after the fixture
    from comparison.tasks import TASKS  # noqa: PLC0415

    assert tuple(METHODS) == command.OPTIMIZERS
    assert set(TASKS) == set(command.TASKS)


@pytest.mark.usefixtures("command")
def test_the_narrowest_methods_are_named():
    """The guide names all methods that allow the fewest rates, one rate included."""
    from comparison.guide import _forgiving  # noqa: PLC0415 -- after the fixture

    def row(title, width):
        ends = {"open_low": False, "open_high": False}
        return SimpleNamespace(title=title, width=width, **ends)

    rows = [row("Wide", 100.0), row("One", 1.0), row("Some", 10.0), row("None", 0.0)]
    (sentence,) = _forgiving(rows)
    assert "Wide: the rate may be off by the most" in sentence
    assert sentence.endswith("One allows the least: one rate of the grid only.")
    (sentence,) = _forgiving([*rows, row("Other", 1.0)])
    assert "One and Other allow the least" in sentence


@pytest.mark.usefixtures("command")
def test_a_run_that_is_ended_leaves_what_it_has(tmp_path, capsys):
    """After each method its sweep is written, and told where there is no terminal."""
    from comparison.methods import METHODS  # noqa: PLC0415 -- after the fixture
    from comparison.running import SO_FAR, told  # noqa: PLC0415
    from comparison.sweep import Sweep  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    found = outcome([0.1, 1.0], [2.0, np.nan])
    sweeps = [Sweep(METHODS["adam"], found, best=0, widened=0, inside=True)]
    told(tmp_path, Progress(console=Console(force_terminal=False)), sweeps)
    assert "Adam: validation loss 2 at a rate of 0.1" in capsys.readouterr().out
    left = json.loads((tmp_path / SO_FAR).read_text())
    assert left["adam"]["validation_loss"] == [2.0, None]
