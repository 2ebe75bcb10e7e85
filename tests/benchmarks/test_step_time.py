"""The benchmark of steps: it runs, and its figures are what they say they are."""

import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx


def test_a_tiny_run_leaves_its_figures(tmp_path: Path, run: Any) -> None:
    """A run writes tables, a picture, and figures that agree with each other."""
    done = run(
        "step_time.py",
        *("--quick", "--no-torch", "--cases", "leaf", "--methods", "sgd,adam"),
        *("--size", "1000", "--repeats", "3", "--out", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "one leaf of 1,000 parameters" in done.stdout
    assert (tmp_path / "step_time.png").stat().st_size > 10_000
    assert "| adam" in (tmp_path / "tables.md").read_text()
    record = json.loads((tmp_path / "step_time.json").read_text())
    assert record["versions"]["jax"] == jax.__version__
    assert "--size 1000" in record["command"]
    assert [row["method"] for row in record["rows"]] == ["sgd", "adam"]
    for row, state in zip(record["rows"], (0, 8), strict=True):
        assert set(row["entries"]) == {"gradtx", "optax"}
        for entry in row["entries"].values():
            check_entry(row, entry, state)


@pytest.mark.exhaustive
def test_updates_outside_of_jit(part: Any, tmp_path: Path) -> None:
    """Eager runs time updates alone; there is nothing to compile before them."""
    options = "--eager --quick --cases small --methods adam --repeats 2"
    part("step_time").main([*options.split(), "--out", str(tmp_path)])
    (row,) = json.loads((tmp_path / "step_time.json").read_text())["rows"]
    assert {x["kernel"] for x in row["entries"].values()} == {"eager"}
    assert all(x["stages"] is None for x in row["entries"].values())
    assert "one step" in (tmp_path / "tables.md").read_text()


def check_entry(row: dict[str, Any], entry: dict[str, Any], state: int) -> None:
    """Compare what an entry holds with what can be worked out beforehand."""
    seconds = entry["seconds"]
    assert 0 < entry["fastest"] <= seconds["q1"] <= seconds["median"] <= seconds["q3"]
    rate = row["floor_bytes"] * 1000 / seconds["median"] / 1e9
    assert math.isclose(entry["gigabytes_per_second"], rate, rel_tol=1e-6)
    assert abs(entry["state_bytes"] - state) < 0.01  # the count is 4 bytes
    stages = entry["stages"]
    assert min(stages["trace"], stages["lower"], stages["compile"]) > 0
    assert 2 <= stages["distinct"] <= stages["equations"] < 100
    assert row["floor_bytes"] <= stages["moved_bytes"] < 3 * row["floor_bytes"]
    assert stages["alias_bytes"] >= 1000 * (4 + state), "donation was not used"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--methods", "adam,adamax", "adamax is not among sgd, momentum"),
        ("--cases", "", "nothing is not among leaf, gpt2, small"),
        ("--repeats", "0", "must be a whole number of at least 1, got '0'"),
        ("--size", "1.5", "must be a whole number of at least 1, got '1.5'"),
        ("--out", str(Path(__file__)), "cannot write to"),
    ],
)
def test_a_wrong_option_is_refused(
    part: Any, capsys: pytest.CaptureFixture[str], option: str, value: str, words: str
) -> None:
    """A wrong option ends the script with status 2 and a sentence that names it."""
    with pytest.raises(SystemExit) as stop:
        part("step_time").parse([option, value])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {option}" in said
    assert words in said


def test_the_trees_are_as_large_as_they_say(part: Any) -> None:
    """GPT-2 small has 148 leaves and 124,439,808 parameters."""
    trees = part("trees")
    made = {name: make(trees.FULL) for name, make in trees.CASES.items()}
    counts = {name: (len(s), trees.parameters(s)) for name, s in made.items()}
    assert counts == {
        "leaf": (1, 16_777_216),
        "gpt2": (148, 124_439_808),
        "small": (1000, 256_000),
    }


@pytest.mark.exhaustive
def test_the_libraries_are_timed_on_the_same_work(part: Any) -> None:
    """After as many steps as a period has, both libraries hold the same parameters."""
    methods, jax_side, trees = part("methods"), part("jax_side"), part("trees")
    shapes = {"w": (5, 2), "b": (3,)}
    params = trees.random_tree(shapes, 0, 1.0)
    grads = trees.random_tree(shapes, 1, 1.0)
    for name, method in methods.METHODS.items():
        ends = []
        for lib in (gradtx, optax):
            program = jax_side.Program(lib, method, params, grads)
            program.stages()
            program(methods.PERIOD)
            ends.append(getattr(program.params, "fast", program.params))
        for ours, theirs in zip(*map(jax.tree.leaves, ends), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, err_msg=name)
            assert not any(np.array_equal(ours, p) for p in params.values())


def test_turns_are_whole_periods_in_every_round(part: Any) -> None:
    """Every contestant gets the same number of steps, a multiple of the period."""
    made: dict[str, list[int]] = {"a": [], "b": []}
    seconds = part("timing").in_turn(
        {
            name: (lambda n, turns=turns: turns.append(n))
            for name, turns in made.items()
        },
        repeats=4,
        period=5,
    )
    assert made["a"] == made["b"]
    assert len(made["a"]) == 2 + 4
    assert all(steps % 5 == 0 for steps in made["a"])
    assert {name: len(times) for name, times in seconds.items()} == {"a": 4, "b": 4}


def test_equations_inside_calls_are_counted(part: Any) -> None:
    """A function called twice counts twice written out, and once among the distinct."""
    jax_side = part("jax_side")
    inner = jax.jit(lambda x: jnp.sin(x) * 2.0)
    jaxpr = jax.make_jaxpr(lambda x: inner(x) + inner(x))(jnp.ones(3)).jaxpr
    assert jax_side.count_equations(jaxpr) == 2 * (1 + 2) + 1
    assert jax_side.count_distinct(jaxpr, set()) == 2 + 2 + 1
