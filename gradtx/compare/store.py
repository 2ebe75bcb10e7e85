"""What was found is written as it comes, and found again by a run that goes on."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx.common.version import __version__
from gradtx.compare.stepping import loss_of
from gradtx.compare.training import Outcome, Points, Trainer

FOLDER = "runs"
MEASURE = "measure "


class Store:
    """A folder of outcomes, each under a name made of all that it depends on.

    Args:
      folder: where it is; nothing is kept where it is None.
      trainer: what is trained, whose data, weights and protocol are part of each name.
    """

    def __init__(self, folder: Path | None, trainer: Trainer) -> None:
        self.folder = folder and folder / FOLDER
        self._known = "" if folder is None else fingerprint(trainer)

    def kept(self, run: Callable[[Points], Outcome], tx: Any) -> Callable:
        """Give ``run``, but for points whose outcome is there already.

        Args:
          run: trains at some points.
          tx: the method's optimizer at one point, which is known by how it prints.
        """

        def look(points: Points) -> Outcome:
            place = self._place(points, tx)
            if place and place.exists():
                return _read(place, points)
            found = run(points)
            if place:
                _write(place, found)
            return found

        return look

    def has(self, points: Points, tx: Any) -> bool:
        """Whether the outcome of these points is there already."""
        place = self._place(points, tx)
        return place is not None and place.exists()

    def _place(self, points: Points, tx: Any) -> Path | None:
        if self.folder is None:
            return None
        swept = [(name, values.tolist()) for name, values in points.items()]
        name = f"{self._known} {tx!r} {swept}"
        return self.folder / f"{_short(name.encode())}.npz"


def fingerprint(trainer: Trainer) -> str:
    """Make a short name of the versions, the protocol, the weights, the data and code.

    The code is known as JAX traces it, with the arrays that it holds.
    """
    task, start = trainer.task, trainer.start
    held: list[Any] = [start.params, start.batches, start.data]
    told = [__version__, jax.__version__, str(trainer.protocol), task.name]
    loss = loss_of(task, start.data)
    for f, arguments in ((loss, trainer.first), (task.evaluate, trainer.first[:1])):
        if f is not None:
            jaxpr = jax.make_jaxpr(f)(*arguments)
            held.append(jaxpr.consts)
            told.append(str(jaxpr))
    hashed = hashlib.sha256(re.sub("0x[0-9a-f]+", "", " ".join(told)).encode())
    for leaf in jax.tree.leaves(held):
        hashed.update(np.asarray(leaf).tobytes())
    return hashed.hexdigest()[:16]


def _short(name: bytes) -> str:
    return hashlib.sha256(name).hexdigest()[:24]


def _write(place: Path, found: Outcome) -> None:
    """Write under another name first, so that no half of a file is ever read."""
    place.parent.mkdir(parents=True, exist_ok=True)
    half = place.with_suffix(".half.npz")
    measures = {MEASURE + name: x for name, x in found.measures.items()}
    np.savez(half, train=found.train, final=found.final, **measures)  # pyright: ignore[reportArgumentType]
    half.replace(place)


def _read(place: Path, points: Points) -> Outcome:
    with np.load(place) as held:
        measures = {
            name.removeprefix(MEASURE): held[name]
            for name in held.files
            if name.startswith(MEASURE)
        }
        return Outcome(points, held["train"], held["final"], measures)
