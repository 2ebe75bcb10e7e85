"""Measure one method on one tree in every library."""

from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.jax_side import Eager, Program, Stages, all_stages
from benchmarks.methods import Method
from benchmarks.timing import Copy, Spread, in_turn, spread
from benchmarks.torch_side import TorchProgram
from benchmarks.trees import parameters


class Entry(NamedTuple):
    """What one library needed."""

    seconds: Spread
    """For one step."""
    fastest: float
    """Seconds per step in the shortest turn: what a busy machine hides least."""
    gradtx_ratio: float
    """The step of gradtx over this one's, in the same round: below 1, gradtx wins."""
    gigabytes_per_second: float
    """The floor's bytes in the median time."""
    of_copy: float
    """That, as a part of what copying reached in the same round."""
    state_bytes: float
    """Per parameter."""
    stages: Stages | None
    kernel: str
    """How it is run: jit, eager, fused or foreach."""


class Row(NamedTuple):
    """One method on one tree."""

    case: str
    method: str
    floor_bytes: float
    """Per parameter and step."""
    copy_gigabytes_per_second: Spread
    entries: dict[str, Entry]


class Libraries(NamedTuple):
    """Who takes part."""

    jax: dict[str, ModuleType]
    torch: ModuleType | None
    eager: bool = False
    """Whether ``update`` is called outside of ``jit``."""


class Tree(NamedTuple):
    """A case, filled with numbers."""

    case: str
    params: Any
    grads: Any

    @property
    def count(self) -> int:
        """How many parameters there are."""
        return parameters({name: x.shape for name, x in self.params.items()})


def measure(
    libraries: Libraries, name: str, method: Method, tree: Tree, repeats: int
) -> Row:
    """Time the stages, then the steps, of all libraries in turn."""
    make = Eager if libraries.eager else Program
    programs = {
        label: make(lib, method, tree.params, tree.grads)
        for label, lib in libraries.jax.items()
    }
    stages = {} if libraries.eager else all_stages(programs)
    contestants: dict[str, Any] = dict(programs)
    if libraries.torch is not None and method.torch is not None:
        contestants["torch"] = TorchProgram(
            libraries.torch, method, tree.params, tree.grads
        )
    copy = Copy(tree.count)
    seconds = in_turn({**contestants, "copy": copy}, repeats, method.period)
    held = {"copy": seconds.pop("copy"), "gradtx": seconds["gradtx"]}
    moved = method.floor * tree.count
    entries = {}
    for label, times in seconds.items():
        program = contestants[label]
        entries[label] = Entry(
            seconds=spread(times),
            fastest=float(times.min()),
            gradtx_ratio=float(np.median(held["gradtx"] / times)),
            gigabytes_per_second=moved / float(np.median(times)) / 1e9,
            of_copy=float(
                np.median(method.floor / copy.bytes_per_number * held["copy"] / times)
            ),
            state_bytes=program.state_bytes,
            stages=stages.get(label),
            kernel=program.kernel,
        )
    speeds = spread(copy.bytes_per_number * tree.count / held["copy"] / 1e9)
    jax.clear_caches()
    return Row(tree.case, name, method.floor, speeds, entries)
