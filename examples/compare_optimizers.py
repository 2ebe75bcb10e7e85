"""Compare ten optimizers on real data, each with its own learning-rate sweep.

    python examples/compare_optimizers.py [--task digits|text] [--quick] ...

Prints a table and writes pictures and a report with a selection guide.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent))

from comparison.names import OPTIMIZERS, TASKS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that the command line asks for."""
    options = parse(arguments)
    try:  # only now, as it takes long to import
        from comparison.running import run_comparison  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing.name} is not installed: try pip install -e '.[examples]'")
    try:
        run_comparison(
            options.task,
            options.optimizers,
            options.out,
            quick=options.quick,
            steps=options.steps,
            seeds=options.seeds,
        )
    except OSError as error:
        print(f"error: {error}")
        return 2
    return 0


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to learn more."""
        self.exit(2, f"{self.prog}: error: {message} (--help lists the options)\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line, and refuse what makes no sense in one line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument(
        "--optimizers",
        type=_methods,
        default=list(OPTIMIZERS),
        metavar="A,B,...",
        help=f"which to compare, of {', '.join(OPTIMIZERS)} (default: all)",
    )
    parser.add_argument("--steps", type=_whole, help="training steps of each run")
    parser.add_argument("--seeds", type=_whole, help="seeds for each learning rate")
    parser.add_argument("--out", type=_folder, default="results/comparison")
    parser.add_argument(
        "--quick", action="store_true", help="smaller and shorter: under a minute"
    )
    return parser.parse_args(arguments)


def _methods(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in OPTIMIZERS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"unknown optimizer {', '.join(unknown) or repr(text)}: "
            f"there are {', '.join(OPTIMIZERS)}"
        )
    return list(dict.fromkeys(names))


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of at least 1, got {text!r}"
        )
    return int(text)


def _folder(text: str) -> Path:
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {error}") from error
    if not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write to {text}")
    return folder


if __name__ == "__main__":
    sys.exit(main())
