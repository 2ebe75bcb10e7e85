"""Set JAX up for the tests before any of them imports it."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
).strip()

import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

# The catalogue and its methods stand beside this file, and tests in folders use them.
sys.path.insert(0, str(Path(__file__).parent))

# Nothing is broadcast silently, in the library or in the tests.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64() -> Iterator[None]:
    """Compute in float64 for the length of a test."""
    with jax.enable_x64(True):  # noqa: FBT003
        yield
