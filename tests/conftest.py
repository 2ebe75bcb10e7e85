"""Set JAX up for the tests before any of them imports it."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
# On a busy machine of few cores a device may be late for a collective: by default the
# others wait 40 s for it and then end the process.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    " --xla_cpu_collective_call_terminate_timeout_seconds=300"
).strip()

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

# The catalogue and its methods stand beside this file, and tests in folders use them.
sys.path.insert(0, str(Path(__file__).parent))

import compiling

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
    *("groups", "inspection", "saving", "testing"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how much is tried."""
    group = parser.getgroup("gradtx")
    group.addoption(
        "--exhaustive",
        action="store_true",
        help="hold every law for every row, in all its configurations",
    )
    group.addoption(
        "--core",
        action="store_true",
        help="only the tests that pass with the oldest JAX too",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks, and keep compiled programs for the next run and other workers."""
    config.addinivalue_line(
        "markers", "exhaustive: slow, or one more configuration (run by --exhaustive)"
    )
    config.addinivalue_line(
        "markers", "one_in(n): a slow law, of which every n-th case is usual"
    )
    if not config.getoption("--exhaustive"):
        compiling.compile_quickly()
    if hasattr(config, "cache") and not jax.config.jax_compilation_cache_dir:
        compiling.keep_programs(config.cache.mkdir("compiled-programs"))


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
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if not item.get_closest_marker("exhaustive"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chosen = _usual(cases.values())
    config.hook.pytest_deselected(items=[x for x in items if x not in chosen])
    items[:] = [x for x in items if x in chosen]


def _usual(laws: Iterable[list[pytest.Item]]) -> set[pytest.Item]:
    """Return the cases that are tried without --exhaustive.

    The slow laws of a file take turns, so that most methods meet one of them.
    """
    chosen: set[pytest.Item] = set()
    slow: Counter[Path] = Counter()  # laws so far, by the file
    for cases in laws:
        mark = cases[0].get_closest_marker("one_in")
        if not mark:
            chosen.update(cases)
            continue
        n, file = mark.args[0], cases[0].path
        chosen.update(cases[slow[file] % min(n, len(cases)) :: n])
        slow[file] += 1
    return chosen


@pytest.fixture
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether a law shall be held in all its configurations."""
    return request.config.getoption("--exhaustive")


@pytest.fixture
def x64() -> Iterator[None]:
    """Compute in float64 for the length of a test."""
    with jax.enable_x64(True):  # noqa: FBT003
        yield
