"""Values of command-line options, read with a sentence for what is wrong with one."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.progress import track

from gradtx.compare.command import folder as folder, whole as whole


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a script's docstring as it is written."""
    kept = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=kept)


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what reads names parted by commas, each of which must be known."""
    names = list(known)

    def read(text: str) -> list[str]:
        wanted = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in wanted if name not in names]
        if unknown or not wanted:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown) or 'nothing'} is not among {', '.join(names)}"
            )
        return list(dict.fromkeys(wanted))

    return read


def progress(names: Iterable[str], title: str) -> Iterable[Any]:
    """Show on stderr how far a benchmark is with the things of these names."""
    return track(list(names), title, console=Console(stderr=True), transient=True)
