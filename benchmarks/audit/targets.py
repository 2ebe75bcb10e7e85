"""The compilers: for the processor at hand, and for devices that are not."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from benchmarks.report import version_of

# What the compiler asks a device before it plans its kernels.
H200 = """
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98
  threads_per_warp: 32  threads_per_block_limit: 1024  threads_per_core_limit: 2048
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  shared_memory_per_block: 49152  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472  l2_cache_size: 62914560
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  memory_bandwidth: 4917248000000  device_memory_size: 150754820096
}
platform_name: "CUDA"
device_description_str: "NVIDIA H200"
"""


class Absent(RuntimeError):
    """Says which compiler is not installed, and how it would be."""


def h200s(count: int = 1) -> list[Any]:
    """Return H200s that are not there."""
    _need("jax_cuda13_plugin", "jax[cuda13]")
    return topologies.get_topology_desc(
        platform="cuda", topology=f"1x1x{count}", target_config=H200
    ).devices


def v5es(shape: str = "2x2") -> list[Any]:
    """Return chips of a TPU v5e that is not there; its compiler knows 2x2 and more."""
    _need("libtpu", "libtpu")
    return topologies.get_topology_desc(f"v5e:{shape}", "tpu").devices


def _need(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise Absent(
            f"it is not installed: pip install '{package}', or all that the "
            "benchmarks need on Linux with pip install 'gradtx[bench]'"
        )


class Target(NamedTuple):
    """A device that steps are compiled for, by what, and with which options."""

    name: str
    device: str
    compiler: str
    first: Any
    options: dict[str, Any]


# The name of a device, what compiles for it, how it is had, and the compiler's options.
# There is nothing to time the choices on that a GPU's compiler has.
UNTIMED = {"xla_gpu_autotune_level": 0}
TARGETS: dict[str, tuple[str, str, Callable[[], list[Any]], dict[str, Any]]] = {
    "cpu": ("CPU", "jaxlib", lambda: jax.devices("cpu"), {}),
    "tpu": ("TPU v5e", "libtpu", v5es, {}),
    "cuda": ("NVIDIA H200", "jax-cuda13-plugin", h200s, UNTIMED),
}


def load(name: str) -> Target:
    """Return a target, or raise `Absent` where its compiler is not to be had."""
    device, package, make, options = TARGETS[name]
    try:
        first = make()[0]
    except Exception as error:  # whatever a plugin stumbles over
        raise Absent(f"its compiler does not start: {error}") from error
    return Target(name, device, f"{package} {version_of(package)}", first, options)


def only_compile() -> None:
    """Prepare to compile for absent devices, and leave alone one that is there."""
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    jax.config.update("jax_platforms", "cpu")
    # A step found in a cache on the disk would compile in no time.
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
