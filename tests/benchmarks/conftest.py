"""How the tests of the benchmarks import their modules and run their scripts."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def part() -> Any:
    """Import a module of the benchmarks."""
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script as its user does."""

    def run_script(script: str, *options: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(  # noqa: S603
            [sys.executable, ROOT / "benchmarks" / script, *options],
            env={**os.environ, "PYTHONPATH": paths, "XLA_FLAGS": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    return run_script
