"""The benchmark of formats: what it trains is what it says, and its table is true."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import compare


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


def test_every_format_keeps_what_its_name_says(part: Any) -> None:
    """Only float32 and quantized states keep float32 weights."""
    formats = part("formats").FORMATS
    for name, kept in formats.items():
        narrow = name.startswith("bfloat16-") and not name.endswith("-state")
        assert (kept.weights == jnp.bfloat16) is narrow, name


def test_the_distance_is_in_deviations_of_float32(part: Any) -> None:
    """A loss that is higher by one deviation between the seeds is off by 1."""
    off, reference = part("precision").in_deviations, np.array([1.0, 2.0, 3.0])
    assert off(reference, reference) == "+0.00"
    assert off(np.array([2.0, 3.0, 4.0]), reference) == "+1.00"


def test_weights_are_kept_as_told_and_computed_with_in_float32(part: Any) -> None:
    """The loss of a task in bfloat16 is that of the rounded weights."""
    weights, x = jnp.float32([1.01, 2.02]), jnp.ones(2)
    task = compare.Task(lambda _: weights, lambda p, batch, _: p @ batch, x)
    kept = part("formats").keeping(task, jnp.bfloat16)
    params = kept.init(None)
    assert params.dtype == jnp.bfloat16
    loss = kept.loss(params, x, None)
    assert loss.dtype == jnp.float32
    assert loss == params.astype(jnp.float32).sum() != weights.sum()
