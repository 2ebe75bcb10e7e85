"""State in the host's memory between steps."""

from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.leaves import is_array, is_numeric
from gradtx.common.types import OptState, Params, Updates
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)

HOST = "pinned_host"


@transformation
def offload(tx: GradientTransformation, min_size: int = 4096) -> GradientTransformation:
    """Keep large arrays of state in the host's memory between steps.

    They lie in the host's pinned memory, each beside its device and in the layout that
    ``tx`` gave it. A step brings them to the device and puts the new ones back, so it
    waits for what the link between them takes. The numbers and the tree of state are
    those of ``tx``. Parameters and gradients stay where they are.

    Under ``jax.jit`` around the whole step XLA decides when each array is moved. On
    CPUs, where both memories are one, this serves for tests, and needs JAX 0.10.

    Args:
      tx: any transformation. Put this around the whole optimizer: no wrapper can
        compute with arrays that lie on the host.
      min_size: how many entries an array has at least to be kept there; at least 1.
        Smaller ones and counts stay on the device.

    Raises:
      ValueError: if ``min_size`` is below 1.

    Example:
      >>> print(gradtx.offload(gradtx.adam(0.1)))
      offload(tx=adam(learning_rate=0.1))
    """
    checks.positive_int(min_size=min_size)
    inner = with_extra_args_support(tx)

    def moved(state: OptState, space: Any) -> OptState:
        return jax.tree.map(
            lambda x: _moved(x, space) if _is_large(x, min_size) else x, state
        )

    def init(params: Params) -> OptState:
        return moved(inner.init(params), jax.memory.Space.Host)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        state = moved(state, jax.memory.Space.Device)
        updates, state = inner.update(updates, state, params, **extra)
        return updates, moved(state, jax.memory.Space.Host)

    return GradientTransformation(init, update)


def _is_large(x: Any, min_size: int) -> bool:
    return is_array(x) and is_numeric(x) and x.size >= min_size


def _moved(x: Any, space: Any) -> Any:
    if not isinstance(x, jax.ShapeDtypeStruct):
        return jax.device_put(x, space)
    if x.sharding is None or space is jax.memory.Space.Device:
        return x
    return x.update(sharding=x.sharding.with_memory_kind(HOST))
