"""The options of the benchmarks: what is wrong with one is said in a sentence."""

from pathlib import Path
from typing import Any

import pytest

WHOLE = "must be a whole number of at least 1, got"


@pytest.mark.parametrize(
    ("script", "option", "value", "words"),
    [
        ("step_time", "--methods", "adam,adamax", "adamax is not among sgd, momentum"),
        ("step_time", "--cases", "", "nothing is not among leaf, gpt2, small"),
        ("step_time", "--repeats", "0", f"{WHOLE} '0'"),
        ("step_time", "--size", "1.5", f"{WHOLE} '1.5'"),
        ("step_time", "--out", str(Path(__file__)), "cannot write to"),
        ("traffic", "--target", "cpu,npu", "npu is not among cpu, tpu, cuda"),
        ("traffic", "--rows", "adamsky", "'adamsky' is none of 'sgd', 'momentum'"),
        ("precision", "--formats", "float31", "float31 is not among float32"),
        ("precision", "--seeds", "1", "a spread needs at least 2"),
    ],
)
def test_a_wrong_option_is_refused(
    part: Any,
    capsys: pytest.CaptureFixture[str],
    script: str,
    option: str,
    value: str,
    words: str,
) -> None:
    """A wrong option ends the script with status 2 and a sentence that names it."""
    known = [part("audit.cases").cases()] if script == "traffic" else []
    with pytest.raises(SystemExit) as stop:
        part(script).parse([option, value], *known)
    assert stop.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"argument {option}" in said
    assert words in said
