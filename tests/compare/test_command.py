"""The comparison of the command line: its rules, and a small run of the whole."""

import json
import runpy
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.compare import command, searching
from gradtx.compare.builtin import data, tasks
from gradtx.compare.builtin.claims import CLAIMS
from gradtx.compare.builtin.comparison import baseline
from gradtx.compare.builtin.data import ALPHABET, Data, Split, encode, text
from gradtx.compare.builtin.matrix_methods import MATRIX_CENTRES, MATRIX_METHODS
from gradtx.compare.builtin.methods import CENTRES, METHODS
from gradtx.compare.builtin.models import DigitNetwork, RecurrentNetwork
from gradtx.compare.builtin.names import MATRIX_OPTIMIZERS, OPTIMIZERS, TASKS
from gradtx.compare.drawing import spread
from gradtx.compare.guide import _forgiving
from gradtx.compare.measures import middle, smooth, steps_to, working
from gradtx.compare.plan import Plan
from gradtx.compare.progress import Lines
from gradtx.compare.protocol import Protocol
from gradtx.compare.searching import WIDENINGS, beyond, grid, search_grid
from gradtx.compare.training import Outcome, Trainer

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "compare_optimizers.py"


def outcome(points, final):
    """Make an outcome of one seed, with these final losses."""
    if not isinstance(points, dict):
        points = {"learning_rate": np.asarray(points, float)}
    losses = np.asarray(final, float)[:, None]
    return Outcome(points, losses[..., None], losses, {})


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Run the command once, with two methods, few steps and the smallest network."""
    folder = tmp_path_factory.mktemp("comparison") / "new" / "folder"

    def tiny(*, quick):
        assert quick
        network = DigitNetwork(features=4)
        task = tasks.classification("tiny digits", network, data.digits(), 32)
        return tasks.Problem("digits", task, steps=80, seeds=3, rates=9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.PROBLEMS, "digits", tiny)
        asked = ["--optimizers", "sgd,lookahead", "--steps", "6", "--seeds", "2"]
        code = command.main(["compare", *asked, "--quick", "--out", str(folder)])
    return code, folder


@pytest.mark.exhaustive
def test_a_run_leaves_its_report_its_figures_and_its_pictures(small_run):
    """The command ends well and writes every file that it promises."""
    code, folder = small_run
    assert code == 0
    assert {path.name for path in folder.iterdir()} == {
        "report.md",
        "report.html",
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
        "above Lookahead",
        "test accuracy %",
        "steps to target",
        "s to target",
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
        rates = np.array(method["sweep"]["points"]["learning_rate"])
        assert len(rates) >= 9
        np.testing.assert_allclose(np.diff(np.log10(rates)), 1 / 3, rtol=1e-5)
        losses = np.array(method["sweep"]["final_loss"], float).mean(axis=1)
        best = rates[int(np.nanargmin(losses))]
        assert method["best"]["learning_rate"] == pytest.approx(best)
        assert len(method["final_loss"]) == 2
    stored = [row["state_bytes_per_parameter"] for row in figures["methods"].values()]
    np.testing.assert_allclose(stored, [0, 12], atol=0.05)


@pytest.mark.parametrize("plan", [Plan(2, 2, 0), Plan(1, 1, 0)])
@pytest.mark.one_in(2)
@pytest.mark.exhaustive
def test_a_sweep_is_what_single_runs_are(plan):
    """Each place of the vmapped run, whole or in chunks, equals a plain loop."""
    random = np.random.default_rng(0)
    images = jnp.asarray(random.normal(size=(6, 4, 4, 1)), jnp.float32)
    split = Split(images, jnp.arange(6) % 3)
    labelled = Data(split, split, split)
    task = tasks.classification("tiny", DigitNetwork(1), labelled, 2)
    trainer = Trainer(task, Protocol(3, 2, "constant", "grid"))
    points = {"learning_rate": np.array([0.01, 0.1], np.float32)}
    build = trainer.build(gradtx.adam)
    program = trainer.compile(build, points, plan)
    result = trainer.run(program, points, lambda: None)

    @jax.jit
    def step(params, state, rows):
        batch = Split(images[rows], split.labels[rows])
        loss, gradients = jax.value_and_grad(task.loss)(params, batch)
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state, loss

    params = jax.tree.map(lambda leaf: leaf[1], trainer.start.params)
    tx, losses = gradtx.adam(0.1), []
    state = tx.init(params)
    for rows in trainer.start.batches[1]:
        params, state, loss = step(params, state, rows)
        losses.append(loss)
    assert result.train.shape == (2, 2, 3)
    np.testing.assert_allclose(result.train[1, 1], losses, rtol=1e-4)
    np.testing.assert_allclose(result.final[1, 1], task.loss(params, split), rtol=1e-4)


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
def test_a_grid_grows_past_the_edge_on_which_the_best_lies(losses, expected):
    """Past that edge, at the grid's spacing; downwards if every rate diverged."""
    more = beyond(outcome([0.1, 1, 10], losses), 2)
    if expected is None:
        assert more is None
    else:
        np.testing.assert_allclose(more["learning_rate"], expected, rtol=1e-6)


def test_a_sweep_widens_until_the_best_lies_inside():
    """With the best far to the right, the grids are joined in order until it is in."""
    seen = []

    def run(points):
        rates = points["learning_rate"]
        seen.append(rates)
        return outcome(points, np.abs(np.log10(rates) - 3.4))

    first = searching.points(grid(1.0, 9), [{}])
    result = search_grid(run, METHODS["adam"], first, 9)
    assert result.inside
    assert result.widened == 1
    assert [len(rates) for rates in seen] == [9, 9]
    assert np.all(np.diff(result.outcome.rates) > 0)
    np.testing.assert_allclose(
        result.outcome.rates[result.best], 10 ** (10 / 3), rtol=1e-5
    )


def test_a_sweep_gives_up_in_the_end_and_says_so():
    """A loss that always falls to the right ends after three widenings, not inside."""
    first = searching.points(grid(1, 9), [{}])
    result = search_grid(
        lambda points: outcome(points, 1 / points["learning_rate"]),
        METHODS["sgd"],
        first,
        9,
    )
    assert not result.inside
    assert result.widened == WIDENINGS
    assert result.best == 9 * (1 + WIDENINGS) - 1


def test_the_rates_that_work_are_those_around_the_best():
    """An unbroken run counts: luck beyond a gap does not."""
    losses = np.array([1, 5, 2, 1, 2, np.inf, 1])
    rates = np.arange(7.0)
    assert working(rates, losses, 3, target=2) == slice(2, 5)
    assert working(rates, losses, 3, target=0.5) == slice(0, 0)


def test_steps_to_the_target_are_those_of_the_middle_seed():
    """The averaged loss must meet the target; one that diverged never does."""
    early, late, never = [4, 1, 1, 1], [4, 4, 4, 1], [4, np.nan, 1, 1]
    assert middle(steps_to(1, np.array([early, late, never]))) == 4
    assert middle(steps_to(1, np.array([early, never, never]))) == np.inf


def test_an_average_looks_back_only():
    """The mean of the steps just past, fewer at the start; infinite once diverged."""
    np.testing.assert_allclose(smooth(np.array([4.0, 2, 0, 6]), 2), [4, 3, 1, 3])
    np.testing.assert_allclose(
        smooth(np.array([4.0, np.nan, 0]), 2), [4, *[np.inf] * 2]
    )


def test_names_beside_lines_never_touch():
    """However close lines end, their names keep a distance, an order and the frame."""
    places = np.array(spread([0.99, 0.98, 0.1, 0.985, 0.1], gap=0.05))
    assert np.diff(np.sort(places)).min() >= 0.05 - 1e-12
    assert places.max() <= 1
    assert places[1] < places[3] < places[0]


def test_text_is_read_in_one_alphabet():
    """Every character gets a place in the fixed alphabet, strange ones that of ?."""
    assert [ALPHABET[code] for code in encode("a\té~\n")] == list("a   ?~\n")
    data = text(context=8, limit=900)
    assert data.train.inputs.shape == (100, 8)
    np.testing.assert_array_equal(data.train.inputs[:, 1:], data.train.labels[:, :-1])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--optimizers", "adam,sdg"], "sdg is not among sgd, momentum"),
        (["--optimizers", ","], "nothing is not among sgd"),
        (["--steps", "0"], "whole number of at least 1, got '0'"),
        (["--seeds", "-1"], "whole number of at least 1, got '-1'"),
        (["--seeds", "0"], "whole number of at least 1, got '0'"),
        (["--steps", "ten"], "whole number of at least 1, got 'ten'"),
        (["--task", "chess"], "invalid choice: 'chess'"),
        (["--out", "/dev/null/here"], "cannot write to /dev/null/here"),
    ],
)
def test_a_bad_value_gets_one_clear_line(arguments, complaint, capsys):
    """The exit code is 2, and one line says what is wrong."""
    with pytest.raises(SystemExit) as stop:
        command.compare(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_the_command_knows_its_tasks_and_methods():
    """The names that the command line knows are those of the tasks and methods."""
    assert tuple(METHODS) == tuple(CENTRES) == OPTIMIZERS
    assert tuple(MATRIX_METHODS) == tuple(MATRIX_CENTRES) == MATRIX_OPTIMIZERS
    assert set(CLAIMS) == {*OPTIMIZERS, *MATRIX_OPTIMIZERS}
    assert set(tasks.PROBLEMS) == set(TASKS)


def test_the_lstm_hears_what_came_before_and_not_what_comes():
    """A character changes what is told from its own place on, and nothing before."""
    network = RecurrentNetwork(characters=5, width=4)
    codes = jnp.zeros((1, 6), jnp.int32)
    params = network.init(jax.random.key(0), codes)
    changed = network.apply(params, codes.at[0, 2].set(1))
    same = np.isclose(network.apply(params, codes), changed).all(axis=-1)[0]
    assert same.tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("names", "expected"),
    [("adam adamw", None), ("adamw muon", "adamw"), ("adam muon", None)],
)
def test_steps_are_counted_to_adamws_end_beside_a_method_for_matrices(names, expected):
    """AdamW is the baseline where a method for matrices takes part, and only there."""
    assert baseline(names.split()) == expected


def test_the_example_is_a_client_of_the_library():
    """The script, and the module's command, are under the names that are told."""
    assert len(EXAMPLE.read_text().splitlines()) < 100
    script = runpy.run_path(str(EXAMPLE))
    assert script["compare"] is command.compare
    help_of = [sys.executable, "-m", "gradtx", "compare", "--help"]
    run = subprocess.run(  # noqa: S603
        help_of, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--optimizers" in run.stdout
    assert command.main(["else"]) == 2


def test_a_wrong_option_is_refused_before_anything_heavy_is_imported():
    """Networks, data and pictures are loaded when it is known what is asked for."""
    program = (
        "import sys\n"
        "from gradtx.compare import command\n"
        "try:\n"
        "    command.main(['compare', '--task', 'none'])\n"
        "except SystemExit as end:\n"
        "    print(end.code, {'flax', 'matplotlib', 'sklearn'} & set(sys.modules))\n"
    )
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "2 set()\n"


def test_a_line_is_written_at_once(monkeypatch):
    """Who reads a log or a pipe sees each line when it is said, and not at the end."""
    out = StringIO()
    flushed = []
    out.flush = lambda: flushed.append(out.getvalue())
    monkeypatch.setattr("sys.stdout", out)
    Lines().line("adam is done")
    assert flushed == ["adam is done\n"]


def test_the_narrowest_methods_are_named():
    """The guide names all methods that allow the fewest rates, one rate included."""

    def row(title, width):
        low, rates = 1.0, np.array([1.0, 10.0, 100.0])
        outcome = SimpleNamespace(rates=rates)
        return SimpleNamespace(
            title=title,
            width=width,
            low=low,
            high=low * width,
            open_low=False,
            open_high=False,
            reach=np.full(3, np.log10(width) if width else -1.0),
            sweep=SimpleNamespace(outcome=outcome, line=np.arange(3)),
        )

    rows = [row("Wide", 100.0), row("One", 1.0), row("Some", 10.0), row("None", 0.0)]
    (sentence,) = _forgiving(rows)
    assert "Wide: the rate may be off by the most" in sentence
    assert "a factor of 100, 2 steps of the grid" in sentence
    assert sentence.endswith("One allows the least: one rate of the grid only.")
    (sentence,) = _forgiving([*rows, row("Other", 1.0)])
    assert "One and Other allow the least" in sentence
