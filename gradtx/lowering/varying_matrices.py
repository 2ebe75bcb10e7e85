"""A warning where what is taken for a whole leaf may be a shard of one."""

import warnings
from collections.abc import Iterable
from typing import Any

from gradtx.common import checks
from gradtx.lowering.varying import varying_axes


class ShardWarning(UserWarning):
    """A method that sees whole leaves is given what one device holds of them.

    Such as one for matrices, within ``jax.shard_map``. The types tell that a leaf
    differs from device to device, and not whether it is a shard or the device's own.
    :func:`gradtx.gathered` around the optimizer tells it.
    """


def warn_of_shards(leaves: Iterable[tuple[Any, Any]]) -> None:
    """Warn of leaves that differ from device to device, naming the first.

    Args:
      leaves: the paths and arrays that are taken for whole leaves; None is no array.
    """
    axes = {path: varying_axes(x) for path, x in leaves if x is not None}
    found = [path for path, varying in axes.items() if varying]
    if not found:
        return
    along = ", ".join(sorted(map(repr, axes[found[0]])))
    warnings.warn(
        f"within shard_map {len(found)} of the leaves, such as "
        f"{checks.path_name(found[0])}, vary along {along}, and this method, as "
        "those for matrices, takes what each device holds for whole leaves. If they "
        "are shards, put gradtx.gathered around the optimizer, with the parameters' "
        "layout; if each device has leaves of its own, gradtx.gathered(tx, "
        "PartitionSpec()) says so",
        ShardWarning,
        stacklevel=2,
    )
