"""A long benchmark in parts: what was measured is written at once, and not again."""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def finish(
    wanted: Iterable[tuple[str, str]],
    place: Callable[[str, str], Path],
    measure: Callable[[str, str], dict[str, Any]],
    minutes: float,
) -> None:
    """Measure what is not there yet, and write each as a JSON file when it is done.

    Args:
      wanted: pairs of a task and a method.
      place: gives the file of a pair.
      measure: gives the figures of a pair.
      minutes: after which none is begun.
    """
    end = time.monotonic() + 60 * minutes
    for task, method in wanted:
        file = place(task, method)
        if file.exists():
            continue
        if time.monotonic() > end:
            return
        write(file, measure(task, method))
        print(f"{task}: {method} is done", flush=True)


def write(file: Path, figures: dict[str, Any]) -> None:
    """Write under another name first, so that no half of a file is ever read."""
    half = file.with_suffix(".half")
    half.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    half.replace(file)
