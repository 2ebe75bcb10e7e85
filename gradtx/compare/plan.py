"""How many runs fit into memory at once."""

import os
from typing import Any, NamedTuple

import jax
import numpy as np

SHARE = 0.5
"""How much of the memory is planned with: the compiler keeps values of its own."""


class Plan(NamedTuple):
    """How many points and seeds are trained at once, in one compiled program."""

    points: int
    seeds: int
    run_bytes: int
    """What one run is thought to need."""

    def chunks(self, points: int, seeds: int) -> int:
        """Give in how many chunks so many points and seeds are trained."""
        return -(-points // self.points) * -(-seeds // self.seeds)


def tree_bytes(tree: Any) -> int:
    """Count the bytes of all arrays of a tree, or of their shapes."""
    return sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
        if hasattr(leaf, "dtype")
    )


def run_bytes(loss: Any, params: Any, state: Any, batch: Any, key: Any) -> int:
    """Estimate the bytes of one run from the shapes alone.

    Parameters and state stand twice, before and after a step; the gradient and the
    update are as large as the parameters; what the loss keeps for its gradient is
    counted twice, as the gradients of these values are about as large.
    """
    kept = jax.eval_shape(
        lambda p, b, k: jax.vjp(lambda q: loss(q, b, k), p)[1], params, batch, key
    )
    return 4 * tree_bytes(params) + 2 * tree_bytes(state) + 2 * tree_bytes(kept)


def memory_limit() -> int:
    """Give the bytes that may be used: a share of what the device has."""
    stats = jax.devices()[0].memory_stats() or {}
    whole = stats.get("bytes_limit")
    if whole is None:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(SHARE * whole)


def plan(points: int, seeds: int, each: int, limit: int) -> Plan:
    """Cut points times seeds into equal chunks that fit.

    All seeds of some points are a chunk; where not even those of one point fit, some
    seeds are. One run always counts as fitting.

    Args:
      points: how many there are.
      seeds: how many each point has.
      each: the bytes of one run.
      limit: the bytes that all runs of a chunk may take.
    """
    room = max(1, limit // max(each, 1))
    if room >= seeds:
        return Plan(_equal(points, room // seeds), seeds, each)
    return Plan(1, _equal(seeds, room), each)


def _equal(count: int, most: int) -> int:
    """Give the size of the fewest equal parts of at most ``most``."""
    return -(-count // -(-count // most))


def groups(count: int, size: int) -> list[np.ndarray]:
    """Number what goes together, the last again and again where a group is not full."""
    numbers = np.arange(-(-count // size) * size)
    return list(np.minimum(numbers, count - 1).reshape(-1, size))


def padded(values: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last value until there are ``size``."""
    return values[np.minimum(np.arange(size), len(values) - 1)]
