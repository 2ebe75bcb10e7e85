"""The programs of the cookbook run as a user would run them."""

import runpy
from pathlib import Path

import pytest

COOKBOOK = Path(__file__).parents[2] / "examples" / "cookbook"
PROMISES = {
    "accumulation": "moved after batches [2, 4, 6, 10, 14]",
    "bytes_by_group": "layers_3/kernel 12928 bytes\nlayers_0/embedding 0 bytes",
    "exact_resume": "equal bit for bit: True",
    "flax_nnx": "averaged weights: loss 0.0",
    "float16": "loss 0.000",
    "from_keras": "averaged 0.6",
    "from_pytorch": "step 101 moves head/kernel by -0.0090",
    "hypergradient": "loss 0.0",
    "layer_decay_and_freezing": "moved: 0.0025, 0.0050, 0.0000, 0.0100",
    "muon_transformer": "the loss is 0.0",
    "own_rule": "it keeps every law",
    "rate_finder": "the loss ends at 0.0",
    "read_and_change_the_rate": "compiled 1 time",
    "resume_after_a_change": "the schedule goes on at 0.009978",
    "sweep": "best rate 1.68: loss 111 -> 0.00",
}


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.one_in(12)
def test_a_program_does_what_it_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program ends well and prints the line that it promises."""
    runpy.run_path(str(COOKBOOK / f"{name}.py"), run_name="__main__")
    assert PROMISES[name] in capsys.readouterr().out


def test_the_programs_are_short_and_listed() -> None:
    """Each file is of 25 lines at most, all counted, and the list has them all."""
    readme = (COOKBOOK / "README.md").read_text()
    programs = {path.stem: path for path in COOKBOOK.glob("*.py")}
    assert programs.keys() == PROMISES.keys()
    for name, path in programs.items():
        assert len(path.read_text().splitlines()) <= 25, name
        assert f"({path.name})" in readme, name
