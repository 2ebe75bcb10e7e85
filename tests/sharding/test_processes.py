"""Training in several processes, one of them killed: orbax brings all of it back."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("processes.py")
STEPS, LONG = 5, 1000
SECONDS = 300  # how long the processes of one run may take where others work too


class Processes:
    """Processes that train together; leaving the block ends those that still run."""

    def __init__(
        self, folder: Path, count: int, devices: int, steps: int, columns: int = 1
    ) -> None:
        folder.mkdir(exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        paths = map(str, (SCRIPT.parents[2], SCRIPT.parents[1]))
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        port = _free_port()
        self.running = []
        for number in range(count):
            given = map(str, (port, count, number, devices, columns, folder, steps))
            with (folder / f"errors{number}.txt").open("w") as errors:
                self.running.append(
                    subprocess.Popen(  # noqa: S603  # this interpreter, a file of ours
                        [sys.executable, str(SCRIPT), *given],
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        text=True,
                        env=environment,
                    )
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.communicate()

    def lines_until(self, last: str) -> list[str]:
        """Return what the first process says up to a line."""
        lines = []
        for line in self.running[0].stdout or ():
            lines.append(line.strip())
            if lines[-1] == last:
                return lines
        raise AssertionError(lines)

    def finished(self) -> list[str]:
        """Return what the first process said, when all of them have ended well."""
        said = [process.communicate(timeout=SECONDS)[0] for process in self.running]
        assert [process.returncode for process in self.running] == [0] * len(said)
        return said[0].splitlines()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def final(folder: Path) -> list[np.ndarray]:
    """Return the parameters and states that a run ended with."""
    with np.load(folder / "final.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def goes_on(lines: list[str]) -> bool:
    """Whether a run began from a checkpoint in the middle."""
    return any(f"from {t}" in lines for t in range(2, STEPS))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("count", "devices", "columns"), [(2, 2, 4), (4, 1, 1)], ids=["two", "four"]
)
def test_a_killed_process_loses_nothing(
    tmp_path: Path, count: int, devices: int, columns: int
) -> None:
    """All go on bit for bit, and one process with another mesh equal to rounding.

    They have meshes of 4 x 1 devices; that one has 2 x 4, or 8 x 1.
    Seven optimizers train at once and are saved after each step. The last process is
    killed in the middle; all are started again, from the checkpoint before.
    """
    unbroken, broken, other = (tmp_path / x for x in ("unbroken", "broken", "other"))
    with Processes(unbroken, count, devices, STEPS) as processes:
        assert "from 0" in processes.finished()
    with Processes(broken, count, devices, LONG) as processes:
        processes.lines_until("step 2")
        os.kill(processes.running[-1].pid, signal.SIGKILL)
        processes.running[-1].wait()
    assert not (broken / "final.npz").exists()
    shutil.copytree(broken, other)
    with Processes(broken, count, devices, STEPS) as processes:
        assert goes_on(processes.finished())
    with Processes(other, 1, 8, STEPS, columns) as processes:
        assert goes_on(processes.finished())
    expected = final(unbroken)
    for x, y, z in zip(expected, final(broken), final(other), strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_allclose(
            z.astype(np.float32), x.astype(np.float32), rtol=1e-4, atol=1e-5
        )
