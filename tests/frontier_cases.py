"""Run a recorded case of another program with gradtx: ``follow(case, p0, grads)``.

``tests/data/golden_frontier.json.gz`` holds float64 trajectories of the official
programs. A case names its method and the program's own settings; the families under
``tests/frontier`` map these to gradtx.
"""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import jax
from frontier import averaging, decay, matrices, methods, muons, spikes

FAMILIES = (averaging, decay, matrices, methods, muons, spikes)
DATA = Path(__file__).parent / "data" / "golden_frontier.json.gz"


@cache
def recorded() -> dict[str, Any]:
    """Return the recorded file: ``p0``, ``grads`` and ``cases``."""
    with gzip.open(DATA, "rt") as file:
        return json.load(file)


def known_methods() -> dict[str, Any]:
    """Return for every method of a family the function that runs its cases."""
    return {name: run for family in FAMILIES for name, run in family.METHODS.items()}


def follow(case: dict[str, Any], p0: dict[str, Any], grads: list[Any]) -> dict:
    """Return for each array of a case the parameters after every step, by gradtx.

    Args:
      case: one of the file's: ``method``, ``settings`` (the program's own names),
        ``arrays`` and what else the method is given.
      p0: the parameters before the first step, by name, in the layout (out, in).
      grads: for every step the gradient of each array, by name.

    Returns:
      A list for each array, one NumPy array a step; for a case that records
      ``eval_params`` or ``look_ahead``, a second dict of lists under that name.
    """
    with jax.enable_x64(True):  # noqa: FBT003
        return known_methods()[case["method"]](case, p0, grads)
