"""For methods that take what a device holds of a leaf for the whole leaf."""

from typing import Any

from gradtx.common.leaves import ndim
from gradtx.common.types import OptState, Params, Updates
from gradtx.core.leafwise import flatten_updates
from gradtx.core.transformation import GradientTransformation
from gradtx.lowering.varying import is_manual
from gradtx.lowering.varying_matrices import warn_of_shards


def of_whole_leaves(
    tx: GradientTransformation, least: int = 1
) -> GradientTransformation:
    """Return a transformation that warns of shards within ``jax.shard_map``.

    For rules that take sums along the axes of a leaf, so that a shard of it gives other
    results, and that have no ``axis_name`` to sum them over.

    Args:
      tx: the transformation.
      least: how many axes a leaf has that is not treated entry by entry.
    """

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        if is_manual():
            leaves, _ = flatten_updates(updates)
            warn_of_shards((path, g) for path, g in leaves if ndim(g) >= least)
        return tx.update(updates, state, params, **extra)

    return GradientTransformation(tx.init, update)
