"""What a comparison found, and all that can be made of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradtx.common.checks import InvalidArgument
from gradtx.compare.measures import Comparison, Row
from gradtx.compare.report import Section, write_report
from gradtx.compare.searching import diverged
from gradtx.compare.table import machine, markdown, table_lines

PICTURES = ("loss.png", "sensitivity.png")
FIGURES = "results.json"


class Result:
    """What :func:`gradtx.compare.run` found.

    Args:
      comparison: every figure, by method; also an attribute of that name.

    Example:
      >>> task = gradtx.compare.Task(
      ...     init=lambda key: jax.random.normal(key, (2,)),
      ...     loss=lambda params, batch, key: jnp.mean((params - batch) ** 2),
      ...     batches=jnp.ones((32, 2)),
      ... )
      >>> found = gradtx.compare.run(
      ...     task, {"sgd": gradtx.sgd}, steps=4, seeds=1, rates=[0.1], progress=False
      ... )
      >>> isinstance(found, gradtx.compare.Result)
      True
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __repr__(self) -> str:
        return self.table()

    def table(self) -> str:
        """Give the table as Markdown, the lowest final loss first."""
        return markdown(table_lines(self.comparison))

    def best(self, name: str) -> Any:
        """Give a method's optimizer at its best learning rate and settings.

        Args:
          name: of the method, as it was given to :func:`gradtx.compare.run`.

        Raises:
          ValueError: if there is no such method, or it diverged at every rate.
        """
        names = [row.name for row in self.comparison.rows]
        if name not in names:
            raise InvalidArgument(
                f"best: there is no {name!r}, only {', '.join(names)}"
            )
        row = self.comparison.find(name)
        if row is None:
            raise InvalidArgument(f"best: {name} diverged at every rate that was tried")
        return row.optimizer

    def plot(self, folder: str | Path) -> list[Path]:
        """Draw the losses, how they depend on the rate, and both in one picture.

        Args:
          folder: where ``loss.png``, ``sensitivity.png`` and ``comparison.png`` are
            written; made if it is not there.

        Returns:
          The places of the files.

        Raises:
          ImportError: if matplotlib is missing.
        """
        from gradtx.compare.pictures import draw  # noqa: PLC0415 -- needs matplotlib

        return draw(self.comparison, _made(folder))

    def report(
        self,
        folder: str | Path,
        sections: Sequence[Section] = (),
        pictures: Sequence[str] = (),
    ) -> Path:
        """Write the report, its pictures and all figures.

        Args:
          folder: where ``report.md``, ``report.html`` (one file that opens without a
            network), ``results.json`` and the pictures are written; made if it is not
            there.
          sections: what is told besides: pairs of a heading and a list of sentences.
          pictures: names of further pictures that lie in the folder.

        Returns:
          The place of ``report.md``.

        Raises:
          ImportError: if matplotlib is missing.
        """
        place = _made(folder)
        self.plot(place)
        (place / FIGURES).write_text(self.to_json(), encoding="utf-8")
        return write_report(self.comparison, [*PICTURES, *pictures], place, sections)

    def to_json(self) -> str:
        """Give all figures as JSON; what diverged is null."""
        found = self.comparison
        figures = {
            "task": found.task.name,
            "steps": found.protocol.steps,
            "seeds": found.protocol.seeds,
            "schedule": found.protocol.course,
            "search": found.protocol.search,
            "opening_loss": found.opening,
            "target_loss": found.target,
            "goal_loss": found.goal,
            "baseline": found.baseline,
            "machine": machine(),
            "methods": {row.name: self._figures(row) for row in found.rows},
        }
        return json.dumps(figures, indent=1, allow_nan=False) + "\n"

    def _figures(self, row: Row) -> dict[str, Any]:
        outcome, behind = row.sweep.outcome, self.comparison.behind(row)
        return {
            "best": row.sweep.point,
            "inside": row.sweep.inside,
            "optimizer": repr(row.optimizer),
            "final_loss": _numbers(row.losses),
            "above_reference": None if behind is None else _numbers(behind),
            "measures": {name: _numbers(x) for name, x in row.measures.items()},
            "steps_to_target": _numbers(row.arrivals),
            "rates_that_work": _numbers([row.low, row.high]),
            "state_bytes_per_parameter": row.cost.state_bytes,
            "seconds_per_step": row.cost.seconds,
            "chunks": row.cost.chunks,
            "widened": row.sweep.widened,
            "runs": outcome.final.size,
            "diverged": diverged(outcome),
            "sweep": {
                "points": {name: x.tolist() for name, x in outcome.points.items()},
                "final_loss": _numbers(outcome.final),
                "measures": {k: _numbers(x) for k, x in outcome.measures.items()},
            },
        }


def _made(folder: str | Path) -> Path:
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return place


def _numbers(values: Any) -> Any:
    """Make lists of numbers, with nothing where one is not finite."""
    found = np.asarray(values, np.float64)
    held = found.astype(object)
    held[~np.isfinite(found)] = None
    return held.tolist()
