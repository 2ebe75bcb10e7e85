"""The programs of the cookbook run as a user would run them."""

import ast
import runpy
from pathlib import Path

import pytest

COOKBOOK = Path(__file__).parents[2] / "examples" / "cookbook"
PROMISES = {
    "accumulation": "moved after batches [2, 4, 6, 10, 14]",
    "bytes_by_group": "fit in 60 kB",
    "exact_resume": "equal bit for bit: True",
    "flax_nnx": "averaged weights: loss 0.0",
    "float16": "steps left out",
    "from_keras": "averaged 0.5",
    "from_pytorch": "head/kernel -0.010",
    "hypergradient": "loss 0.0",
    "layer_decay_and_freezing": "moved: 0.0025, 0.0050, 0.0000, 0.0100",
    "muon_transformer": " 20 loss 0.0",
    "own_rule": "it keeps every law",
    "rate_finder": "the loss ends at 0.0",
    "read_and_change_the_rate": "compiled 1 time",
    "resume_after_a_change": "carried: ",
    "sweep": "best rate",
}


@pytest.mark.parametrize("name", PROMISES)
def test_a_program_does_what_it_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program ends well and prints the line that it promises."""
    runpy.run_path(str(COOKBOOK / f"{name}.py"), run_name="__main__")
    assert PROMISES[name] in capsys.readouterr().out


def test_the_programs_are_short_and_listed() -> None:
    """Each is of 25 lines at most, but for blank ones, imports and the first words."""
    readme = (COOKBOOK / "README.md").read_text()
    programs = {path.stem: path for path in COOKBOOK.glob("*.py")}
    assert programs.keys() == PROMISES.keys()
    for name, path in programs.items():
        text = path.read_text()
        body = ast.parse(text).body
        first = next(
            x for x in body[1:] if not isinstance(x, ast.Import | ast.ImportFrom)
        )
        lines = text.splitlines()[first.lineno - 1 :]
        assert len([x for x in lines if x.strip()]) <= 25, name
        assert f"({path.name})" in readme, name
