"""Whether a difference is more than noise: a bootstrap over the seeds."""

from typing import NamedTuple

import numpy as np

DRAWS = 4000
TAIL = 2.5
"""Percent left out on either side of an interval."""


class Difference(NamedTuple):
    """A mean difference, and the interval that holds it with 95 %."""

    mean: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def difference(one: np.ndarray, other: np.ndarray) -> Difference:
    """Compare two methods seed by seed, as both had the same weights and batches.

    The interval is of the mean of ``one - other`` over seeds drawn again, with
    replacement. From one seed nothing follows, and the interval is infinite.

    Args:
      one: a number of each seed.
      other: the other method's, of the same seeds.
    """
    gains = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    mean, count = float(gains.mean()), len(gains)
    if count < 2 or not np.isfinite(mean):  # noqa: PLR2004
        return Difference(mean, -np.inf, np.inf)
    drawn = np.random.default_rng(0).integers(0, count, (DRAWS, count))
    low, high = np.percentile(gains[drawn].mean(axis=1), [TAIL, 100 - TAIL])
    return Difference(mean, float(low), float(high))


def by_chance(seeds: int) -> float:
    """Give how often all seeds agree though there is no difference."""
    return 2.0 ** (1 - seeds)
