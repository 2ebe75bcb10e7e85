"""``python -m gradtx compare``: the comparison from the command line.

Compare ten optimizers on real data, each with its own learning-rate sweep. Prints a
table and writes pictures and a report with a selection guide.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from gradtx.compare.builtin.names import MATRIX_OPTIMIZERS, OPTIMIZERS, TASKS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the command line asks for.

    Args:
      arguments: those of the command line, or of the process if None; the first is the
        name of the command, ``compare``.

    Returns:
      The status to exit with.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] != ["compare"]:
        print("usage: python -m gradtx compare [--help]", file=sys.stderr)  # noqa: T201
        return 0 if given[:1] in (["--help"], ["-h"]) else 2
    return compare(given[1:], "python -m gradtx compare")


def compare(arguments: Sequence[str] | None = None, name: str | None = None) -> int:
    """Run the comparison.

    Args:
      arguments: the options, or those of the process if None.
      name: what the command is called in its help; the script's own name if None.

    Returns:
      The status to exit with.
    """
    options = parse(arguments, name)
    try:  # only now, as it takes long to import
        from gradtx.compare.builtin.comparison import (  # noqa: PLC0415
            run_comparison,
        )

        run_comparison(
            options.task,
            options.optimizers,
            options.out,
            quick=options.quick,
            steps=options.steps,
            seeds=options.seeds,
        )
    except (OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to learn more."""
        self.exit(2, f"{self.prog}: error: {message} (--help lists the options)\n")


def parse(
    arguments: Sequence[str] | None, name: str | None = None
) -> argparse.Namespace:
    """Read the command line, and refuse what makes no sense in one line."""
    description = "Compare ten optimizers on real data, each with its own sweep."
    parser = Parser(name, description=description)
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument(
        "--optimizers",
        type=some_of((*OPTIMIZERS, *MATRIX_OPTIMIZERS)),
        default=list(OPTIMIZERS),
        metavar="A,B,...",
        help=f"which to compare, of {', '.join(OPTIMIZERS)} (default: these), "
        f"{', '.join(MATRIX_OPTIMIZERS)}; with one of the latter and adamw, steps are "
        "counted to where AdamW's training loss ends",
    )
    parser.add_argument("--steps", type=whole, help="training steps of each run")
    parser.add_argument("--seeds", type=whole, help="seeds for each learning rate")
    parser.add_argument("--out", type=folder, default="results/comparison")
    parser.add_argument(
        "--quick", action="store_true", help="smaller and shorter: under a minute"
    )
    return parser.parse_args(arguments)


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what reads names parted by commas, each of which must be known."""
    every = list(known)

    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in every]
        if unknown or not names:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown) or 'nothing'} is not among {', '.join(every)}"
            )
        return list(dict.fromkeys(names))

    return read


def whole(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.replace("_", "").isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of at least 1, got {text!r}"
        )
    return int(text)


def folder(text: str) -> Path:
    """Make the folder of this name, if it is not there, and see that it takes files."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {error}") from error
    if not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write to {text}")
    return path
