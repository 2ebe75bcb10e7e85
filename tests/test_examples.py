"""The examples run as a user would run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}


def run(name: str) -> str:
    """Run an example and return what it prints."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("quickstart.py", "test accuracy after 300 steps: 9"),
        ("custom_optimizer.py", "after  laprop(learning_rate=0.02)"),
        ("flax_nnx.py", "accuracy 9"),
        ("equinox_train.py", "slow weights: loss 0."),
        ("sweep.py", "best"),
        ("low_precision.py", "6.03 bytes a weight\ntest accuracy after 600 steps: 9"),
    ],
)
def test_an_example_does_what_it_says(name: str, promise: str) -> None:
    """An example ends well and prints the line that it promises."""
    assert promise in run(name)


def test_the_examples_are_short() -> None:
    """An example shows one idea in under 80 lines of code."""
    for path in sorted(EXAMPLES.glob("*.py")):
        lines = [x for x in path.read_text().splitlines() if x.strip()]
        if path.name != "compare_optimizers.py":
            assert len(lines) < 80, path.name
