"""The comparison of the command line: ten methods on a task that comes along."""

import shutil
import time
from functools import partial
from pathlib import Path

from gradtx.compare.builtin.claims import claims
from gradtx.compare.builtin.matrix_methods import MATRIX_CENTRES, MATRIX_METHODS
from gradtx.compare.builtin.methods import CENTRES, METHODS
from gradtx.compare.builtin.surface import best_path
from gradtx.compare.builtin.tasks import PROBLEMS
from gradtx.compare.needs import needed
from gradtx.compare.progress import display
from gradtx.compare.protocol import protocol
from gradtx.compare.result import Result
from gradtx.compare.running import ask, compare_all
from gradtx.compare.searching import grid
from gradtx.compare.store import FOLDER
from gradtx.compare.table import terminal_table

PATHS = "paths.png"
BASELINE = "adamw"
"""What methods for matrices are set against, where it is among those compared."""


def run_comparison(
    name: str,
    optimizers: list[str],
    folder: Path,
    *,
    quick: bool = False,
    steps: int | None = None,
    seeds: int | None = None,
) -> None:
    """Run the comparison and write its report.

    Args:
      name: of the task.
      optimizers: the names of the methods.
      folder: where the report, the pictures and the figures are written.
      quick: whether everything is smaller and shorter.
      steps: training steps of each run; the task's own if None.
      seeds: seeds for each learning rate; the task's own if None.

    Raises:
      OSError: if the data of the task cannot be read.
      ImportError: if a package that draws or tells is missing.
    """
    with needed("the comparison"):  # before anything long runs
        from rich.console import Console  # noqa: PLC0415 -- only where it is shown

        from gradtx.compare.builtin.pictures import draw_paths  # noqa: PLC0415
    begun = time.perf_counter()
    problem = PROBLEMS[name](quick=quick)
    chosen = [(METHODS | MATRIX_METHODS)[method] for method in optimizers]
    centres = CENTRES | MATRIX_CENTRES
    fixed = protocol(steps or problem.steps, seeds or problem.seeds, "constant", "grid")
    rates = {m: grid(centres[m][name], problem.rates).tolist() for m in optimizers}
    asked = ask(
        problem.task,
        chosen,
        fixed,
        rates=rates,
        baseline=baseline(optimizers),
        out=folder,
    )
    beside = [partial(best_path, method) for method in chosen]
    comparison, paths = compare_all(asked, display(), beside)
    draw_paths(paths, folder / PATHS)
    told = [("What the papers say, and what this run saw", claims(comparison))]
    report = Result(comparison).report(folder, told, [PATHS])
    shutil.rmtree(folder / FOLDER)  # what only a run that goes on needs
    console = Console(width=None if Console().is_terminal else 110)
    console.print(terminal_table(comparison))
    spent = time.perf_counter() - begun
    console.print(f"Report, guide and pictures: {report} ({spent:.0f} s)")


def baseline(optimizers: list[str]) -> str | None:
    """Tell to whose end steps are counted: AdamW's, once a matrix method takes part."""
    asked = BASELINE in optimizers and not MATRIX_METHODS.keys().isdisjoint(optimizers)
    return BASELINE if asked else None
