"""The compilers: for the processor at hand, and for devices that are not."""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from benchmarks.machine import version_of

# What the compiler asks a device before it plans its kernels.
H200 = """
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132
  fpus_per_core: 128
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  l2_cache_size: 62914560
  clock_rate_ghz: 1.98
  memory_bandwidth: 4917248000000
  device_memory_size: 150754820096
}
platform_name: "CUDA"
device_description_str: "NVIDIA H200"
"""


class Absent(RuntimeError):
    """Says which compiler is not installed, and how it would be."""


class Target(NamedTuple):
    """A device that steps are compiled for."""

    name: str
    device: str
    """What it is called."""
    compiler: str
    """What compiles for it, with its version."""
    sharding: Any
    """Where the arguments are said to be placed."""
    options: dict[str, Any]
    """Handed to the compiler."""

    def present(self) -> AbstractContextManager[Any]:
        """Lower as if the device were there, which kernels written for it ask about."""
        return jax.default_device(next(iter(self.sharding.device_set)))


def cpu() -> Target:
    """Return the processor at hand."""
    device = SingleDeviceSharding(jax.devices("cpu")[0])
    return Target("cpu", "CPU", f"jaxlib {version_of('jaxlib')}", device, {})


def tpu() -> Target:
    """Return one chip of a TPU v5e that is not there."""
    _need("libtpu", "libtpu")
    # The smallest piece that its compiler knows has four chips; one is used.
    devices = topologies.get_topology_desc("v5e:2x2", "tpu").devices
    device = SingleDeviceSharding(devices[0])
    return Target("tpu", "TPU v5e", f"libtpu {version_of('libtpu')}", device, {})


def cuda() -> Target:
    """Return an H200 that is not there."""
    _need("jax_cuda13_plugin", "jax[cuda13]")
    devices = topologies.get_topology_desc(
        platform="cuda", topology="1x1x1", target_config=H200
    ).devices
    compiler = f"jax-cuda13-plugin {version_of('jax-cuda13-plugin')}"
    untimed = {"xla_gpu_autotune_level": 0}  # there is nothing to time the choices on
    device = SingleDeviceSharding(devices[0])
    return Target("cuda", "NVIDIA H200", compiler, device, untimed)


TARGETS: dict[str, Callable[[], Target]] = {"cpu": cpu, "tpu": tpu, "cuda": cuda}


def load(name: str) -> Target:
    """Return a target.

    Raises:
      Absent: if its compiler is not installed, or does not start.
    """
    try:
        return TARGETS[name]()
    except Absent:
        raise
    except Exception as error:  # whatever a plugin stumbles over
        raise Absent(
            f"--target {name}: its compiler does not start: {error}"
        ) from error


def _need(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise Absent(
            f"the compiler is not installed: pip install '{package}', or all that the "
            "benchmarks need on Linux with pip install 'gradtx[bench]'"
        )
