"""Values of command-line options, read with a sentence for what is wrong with one."""

import argparse
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import track

from gradtx.compare.command import folder as folder, some_of as some_of, whole as whole


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a script's docstring as it is written."""
    kept = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=kept)


def progress(names: Iterable[str], title: str) -> Iterable[Any]:
    """Show on stderr how far a benchmark is with the things of these names."""
    return track(list(names), title, console=Console(stderr=True), transient=True)
