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
OF_CPUS = (0, 10)  # the first JAX in which CPUs have it


@transformation
def offload(tx: GradientTransformation, min_size: int = 4096) -> GradientTransformation:
    """Keep large arrays of state in the host's memory between steps.

    They lie in the host's pinned memory, each beside its device and in the layout that
    ``tx`` gave it. A step brings them to the device and puts the new ones back, so it
    waits for what the link between them takes. The numbers and the tree of state are
    those of ``tx``. Parameters and gradients stay where they are.

    Under ``jax.jit`` around the whole step XLA decides when each array is moved. On
    CPUs, where both memories are one, this serves for tests, and needs JAX 0.10: older
    versions leave every array where it is.

    Args:
      tx: any transformation. Put this around the whole optimizer: no wrapper can
        compute with arrays that lie on the host.
      min_size: how many entries an array has at least to be kept there; at least 1.
        Smaller ones and counts stay on the device.

    Raises:
      ValueError: if ``min_size`` is below 1; from ``init`` and ``update`` on CPUs
        before JAX 0.10.

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
        _has_host_memory()
        return moved(inner.init(params), jax.memory.Space.Host)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        _has_host_memory()
        state = moved(state, jax.memory.Space.Device)
        updates, state = inner.update(updates, state, params, **extra)
        return updates, moved(state, jax.memory.Space.Host)

    return GradientTransformation(init, update)


def _has_host_memory() -> None:
    """Refuse what would do nothing, without a word."""
    if jax.default_backend() == "cpu" and jax.__version_info__ < OF_CPUS:
        raise checks.InvalidArgument(
            f"JAX {jax.__version__} has no pinned memory of the host on CPUs, and "
            "would leave the state where it is: use JAX 0.10 or newer, or no offload "
            "where there is no accelerator"
        )


def _is_large(x: Any, min_size: int) -> bool:
    return is_array(x) and is_numeric(x) and x.size >= min_size


def _moved(x: Any, space: Any) -> Any:
    if not isinstance(x, jax.ShapeDtypeStruct):
        return jax.device_put(x, space)
    if x.sharding is None or space is jax.memory.Space.Device:
        return x
    return x.update(sharding=x.sharding.with_memory_kind(HOST))
