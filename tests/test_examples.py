"""The examples run as a user would run them."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("quickstart.py", "test accuracy after 300 steps: 9"),
        ("custom_optimizer.py", "after  laprop(learning_rate=0.02)"),
        ("flax_nnx.py", "accuracy 9"),
        ("equinox_train.py", "slow weights: loss 0."),
        ("sweep.py", "best"),
        ("many_devices.py", "[0]: P('data',), 32,768 of 262,144 bytes"),
        pytest.param(
            "low_precision.py",
            "6.03 bytes a weight\ntest accuracy after 300 steps: 9",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
@pytest.mark.one_in(12)
def test_an_example_does_what_it_says(
    name: str, promise: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example ends well and prints the line that it promises."""
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert promise in capsys.readouterr().out


def test_the_examples_are_short() -> None:
    """An example shows one idea in under 80 lines of code."""
    for path in sorted(EXAMPLES.glob("*.py")):
        lines = [x for x in path.read_text().splitlines() if x.strip()]
        assert len(lines) < 80, path.name
