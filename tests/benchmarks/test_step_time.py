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
    """A run writes its tables, and figures that agree with each other."""
    done = run(
        "step_time.py",
        *("--quick", "--no-torch", "--cases", "leaf", "--methods", "sgd,adam"),
        *("--size", "1000", "--repeats", "3", "--out", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "1 leaves, 1,000 parameters" in done.stdout
    assert "| leaf | adam" in (tmp_path / "tables.md").read_text()
    record = json.loads((tmp_path / "step_time.json").read_text())
    assert record["versions"]["jax"] == jax.__version__
    assert "--size 1000" in record["command"]
    rows = {(row["method"], row["by"]): row for row in record["rows"]}
    libraries = ("gradtx", "optax", "copy")
    assert set(rows) == {(x, y) for x in ("sgd", "adam") for y in libraries}
    for (method, by), row in rows.items():
        low, middle, high = row["ms"]
        assert 0 < low <= middle <= high
        rate = row["must move B/param"] * 1000 / (middle / 1e3) / 1e9
        assert math.isclose(row["GB/s"], rate, rel_tol=1e-6)
        if by != "copy":
            check_stages(row, {"sgd": 0, "adam": 8}[method])


@pytest.mark.exhaustive
def test_updates_outside_of_jit(part: Any, tmp_path: Path) -> None:
    """Eager runs time updates alone; there is nothing to compile before them."""
    options = "--eager --quick --cases small --methods adam --repeats 2"
    part("step_time").main([*options.split(), "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "step_time.json").read_text())["rows"]
    assert [row["how"] for row in rows] == ["eager", "eager", "jit"]
    assert not any("compile s" in row for row in rows)


@pytest.mark.exhaustive
def test_formats_are_timed_beside_float32(part: Any, tmp_path: Path) -> None:
    """A step of each format in turn with float32's, with the bytes that it keeps."""
    options = "--formats int8-state,bfloat16-compensated --size 4096 --repeats 2"
    part("step_time").main([*options.split(), "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "step_time.json").read_text())["rows"]
    names = ["float32", "int8-state", "float32", "bfloat16-compensated"]
    assert [row["by"] for row in rows] == names
    assert rows[0]["float32 / it"] == 1
    stored = [row["state B/param"] for row in rows]
    assert stored == pytest.approx([8, 2.03, 8, 8], abs=0.01)
    assert rows[1]["ms"][1] > 0


def check_stages(row: dict[str, Any], state: int) -> None:
    """Compare what a step costs with what can be worked out beforehand."""
    assert min(row["trace s"], row["lower s"], row["compile s"]) > 0
    assert 2 <= row["equations"] < 100
    assert row["must move B/param"] <= row["XLA B/param"] < 3 * row["must move B/param"]
    assert abs(row["state B/param"] - state) < 0.01  # the count is 4 bytes
    assert row["alias bytes"] >= 1000 * (4 + state), "donation was not used"


def test_the_trees_are_as_large_as_they_say(part: Any) -> None:
    """GPT-2 small has 148 leaves and 124,439,808 parameters."""
    trees = part("trees")
    counts = {name: (len(s), trees.parameters(s)) for name, s in trees.FULL.items()}
    assert counts == {
        "leaf": (1, 16_777_216),
        "gpt2": (148, 124_439_808),
        "small": (1000, 256_000),
    }


@pytest.mark.exhaustive
def test_the_libraries_are_timed_on_the_same_work(part: Any) -> None:
    """After as many steps as a period has, both libraries hold the same parameters."""
    programs, trees = part("programs"), part("trees")
    shapes = {"w": (5, 2), "b": (3,)}
    params = trees.random_tree(shapes, 0, 1.0)
    grads = trees.random_tree(shapes, 1, 1.0)
    for name, method in programs.METHODS.items():
        ends = []
        for lib in (gradtx, optax):
            program = programs.program_of(method, lib, params, grads)
            program.stages()
            program(programs.PERIOD)
            end, _ = program.carry
            ends.append(getattr(end, "fast", end))
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
    """A function that is called twice counts twice, as if it were written out."""
    inner = jax.jit(lambda x: jnp.sin(x) * 2.0)
    jaxpr = jax.make_jaxpr(lambda x: inner(x) + inner(x))(jnp.ones(3)).jaxpr
    assert part("programs").count_equations(jaxpr) == 2 * (1 + 2) + 1
