"""The benchmark of formats: what it trains is what it says, and its table is true."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest


@pytest.mark.exhaustive
def test_a_short_run_writes_its_figures(
    part: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Formats begin alike, and what they weigh is what the codecs promise."""
    formats = ["float32", "bfloat16-compensated-int8"]
    options = f"--tasks digits --formats {','.join(formats)} --steps 3 --seeds 2"
    part("precision").main([*options.split(), "--out", str(tmp_path)])
    record = json.loads((tmp_path / "precision.json").read_text())
    one, other = record["rows"]
    assert [one["format"], other["format"]] == formats
    assert np.shape(one["losses"]) == (2, 3)
    # The first loss is that of the initial weights, but for their rounding.
    first = [np.array(row["losses"])[:, 0] for row in (one, other)]
    np.testing.assert_allclose(*first, rtol=0.02)
    assert (one["weights B/param"], other["weights B/param"]) == (4, 2)
    assert one["state B/param"] == pytest.approx(8, abs=0.01)
    assert 4 < other["state B/param"] < 4.3  # small leaves stay as they are
    assert (tmp_path / "precision.png").stat().st_size > 10_000
    assert "int8" in (tmp_path / "tables.md").read_text()
    assert "bfloat16-compensated-int8" in capsys.readouterr().out


@pytest.mark.exhaustive
def test_speeds_are_those_of_steps_in_turn(part: Any, tmp_path: Path) -> None:
    """A step of each format beside float32's, with the bytes that it keeps."""
    options = "--speed --formats float32,int8-state --size 4096 --repeats 2"
    part("precision").main([*options.split(), "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert [row["format"] for row in rows] == ["float32", "int8-state"]
    assert rows[0]["/ float32"] == 1
    assert rows[1]["B/param"] == pytest.approx(6.03, abs=0.01)
    assert rows[1]["ms"][1] > 0


def test_every_format_keeps_what_its_name_says(part: Any) -> None:
    """Only float32 and quantized states keep float32 weights."""
    formats = part("formats").FORMATS
    for name, kept in formats.items():
        narrow = name.startswith("bfloat16-") and not name.endswith("-state")
        assert (kept.weights == jnp.bfloat16) is narrow, name


def test_the_distance_is_in_deviations_of_float32(part: Any) -> None:
    """A loss that is higher by one deviation between the seeds is off by 1."""
    result = part("formats").Result
    ends = {"float32": np.array([1.0, 2.0, 3.0]), "other": np.array([2.0, 3.0, 4.0])}
    results = {name: result(np.ones((3, 10)), end, 4, 8) for name, end in ends.items()}
    one, other = part("precision")._records("task", results)  # noqa: SLF001
    assert one["off float32, in its sd"] == "+0.00"
    assert other["off float32, in its sd"] == "+1.00"
