"""Where a state is kept: in the host's memory, or in parts on several devices."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gradtx.common import checks
from gradtx.common.types import OptState
from gradtx.sharding.layouts import longest_even


def in_host_memory(state: OptState) -> OptState:
    """Return a state whose arrays lie in the host's memory, where devices reach them.

    Scalars stay. :func:`on_devices` brings it back for the step.

    Args:
      state: a state, whose arrays lie on devices.
    """

    def one(x: Any) -> Any:
        if not isinstance(x, jax.Array) or not x.ndim:
            return x
        return jax.device_put(x, x.sharding.with_memory_kind("pinned_host"))

    return jax.tree.map(one, state)


def on_devices(state: OptState) -> OptState:
    """Return a state whose arrays lie in the devices' own memory again.

    Args:
      state: what :func:`in_host_memory` returned.
    """

    def one(x: Any) -> Any:
        if not isinstance(x, jax.Array) or not x.ndim:
            return x
        own = next(iter(x.devices())).default_memory().kind
        return jax.device_put(x, x.sharding.with_memory_kind(own))

    return jax.tree.map(one, state)


def spread_over(devices: int, state: OptState) -> OptState:
    """Return a state whose arrays are split over devices, each along one axis.

    An array is split along its longest axis that so many devices divide; where there is
    none, each device holds it whole.

    Args:
      devices: how many; the first ones of ``jax.devices()``.
      state: a state.

    Raises:
      ValueError: if there are not so many devices.
    """
    if len(jax.devices()) < devices:
        raise checks.InvalidArgument(
            f"the state was to be spread over {devices} devices, but there are "
            f"{len(jax.devices())}: give plan(devices=...) how many there are"
        )
    mesh = Mesh(np.array(jax.devices()[:devices]), ("state",))

    def one(x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return x
        axes: list[Any] = [None] * x.ndim
        where = longest_even(x.shape, devices, axes)
        if where is not None:
            axes[where] = "state"
        return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*axes)))

    return jax.tree.map(one, state)
