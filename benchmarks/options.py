"""Values of command-line options, read with a sentence for what is wrong with one."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a script's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


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


def whole(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.replace("_", "").isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of at least 1, got {text!r}"
        )
    return int(text)


def folder(text: str) -> Path:
    """Make the folder of this name, if it is not there."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write there: {error}") from error
    return path
