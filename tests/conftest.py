"""Set JAX up for the tests before any of them imports it."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
).strip()

import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

# The catalogue and its methods stand beside this file, and tests in folders use them.
sys.path.insert(0, str(Path(__file__).parent))

# Nothing is broadcast silently, in the library or in the tests.
jax.config.update("jax_numpy_rank_promotion", "raise")

# The same examples in every run: a change fails for what it does, not by chance.
hypothesis.settings.register_profile("gradtx", derandomize=True, deadline=None)
hypothesis.settings.load_profile("gradtx")

# The tests that must also pass with the oldest JAX, where some of what the others
# import cannot be had: these files and folders, whole.
CORE = (
    *("test_architecture.py", "test_contract.py", "test_imports.py", "test_papers.py"),
    *("common", "core", "lowering", "tree", "linalg", "schedules", "linesearch"),
    *("primitives", "wrappers", "optimizers"),
)


# The tests of which one case in so many is tried without --exhaustive: each of them is
# slow, and holds a law of one program by many cases.
SAMPLED = {
    "test_a_kernel_makes_the_same_step": 4,
    "test_few_bits_are_for_the_means_only": 2,
    "test_leading_axes_are_batches": 3,
    "test_leading_axes_count_matrices": 4,
    "test_matrices_side_by_side_are_matrices_apart": 4,
    "test_no_gradient_makes_nan": 4,
    "test_nothing_is_nan": 3,
    "test_nothing_traced_is_left_behind": 5,
    "test_the_size_of_the_gradients_does_not_matter": 3,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how much is tried."""
    group = parser.getgroup("gradtx")
    group.addoption(
        "--exhaustive",
        action="store_true",
        help="hold every law in all its configurations, and not in one for each row",
    )
    group.addoption(
        "--core",
        action="store_true",
        help="only the tests that pass with the oldest JAX too",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks, and keep compiled programs for the next run and other workers."""
    config.addinivalue_line(
        "markers", "exhaustive: one more configuration of a law (run by --exhaustive)"
    )
    if hasattr(config, "cache") and not jax.config.jax_compilation_cache_dir:
        folder = config.cache.mkdir("compiled-programs")
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # Most programs here are small, and there are thousands of them.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --core, look at these tests only: others may import what is not there."""
    tests = Path(__file__).parent
    if not config.getoption("--core") or not collection_path.is_relative_to(tests):
        return None
    first = collection_path.relative_to(tests).parts[:1]
    return True if first and first[0] not in CORE else None


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what only --exhaustive asks for."""
    if config.getoption("--exhaustive"):
        return
    seen: dict[str, int] = {}
    chosen, left_out = [], []
    for item in items:
        name = getattr(item, "originalname", item.name)
        if name in SAMPLED:
            seen[name] = seen.get(name, -1) + 1
        skipped = seen.get(name, 0) % SAMPLED.get(name, 1)
        exhaustive = skipped or item.get_closest_marker("exhaustive")
        (left_out if exhaustive else chosen).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether a law shall be held in all its configurations."""
    return request.config.getoption("--exhaustive")


@pytest.fixture
def x64() -> Iterator[None]:
    """Compute in float64 for the length of a test."""
    with jax.enable_x64(True):  # noqa: FBT003
        yield
