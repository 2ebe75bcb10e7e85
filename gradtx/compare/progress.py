"""What is told while a comparison runs: a bar in a terminal, lines elsewhere."""

import sys
from importlib.util import find_spec
from types import TracebackType
from typing import Self


class Quiet:
    """Tells nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what is shown."""

    def total(self, ticks: int) -> None:
        """Say how many ticks there will be in all."""

    def say(self, text: str) -> None:
        """Say what is being done now."""

    def tick(self) -> None:
        """Note that a part is done."""

    def line(self, text: str) -> None:
        """Say something that stays."""


class Lines(Quiet):
    """Tells what stays, a line each: for files and logs."""

    def line(self, text: str) -> None:
        """Print at once, so that who reads a log sees it."""
        print(text, flush=True)  # noqa: T201


class Bar(Quiet):
    """A bar with the time that is left, by rich."""

    def __init__(self) -> None:
        from rich.progress import (  # noqa: PLC0415 -- only where it is shown
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description:42}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("preparing the data", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def total(self, ticks: int) -> None:
        """Let the bar end at so many ticks."""
        self._bar.update(self._task, total=ticks)

    def say(self, text: str) -> None:
        """Write it before the bar."""
        self._bar.update(self._task, description=text)

    def tick(self) -> None:
        """Let the bar grow."""
        self._bar.advance(self._task)

    def line(self, text: str) -> None:
        """Write above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)


def display(*, shown: bool = True) -> Quiet:
    """Give a bar in a terminal, if rich is installed; lines where it is not."""
    if not shown:
        return Quiet()
    if sys.stdout.isatty() and find_spec("rich") is not None:
        return Bar()
    return Lines()
