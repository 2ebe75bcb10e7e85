"""Measure one method on one tree in every library."""

from types import ModuleType
from typing import Any

import jax
import numpy as np
import optax

import gradtx
from benchmarks.methods import Method
from benchmarks.programs import Eager, Program, TorchProgram, all_stages, program_of
from benchmarks.tables import Record
from benchmarks.timing import Copy, in_turn, quartiles


def measure(
    method: Method,
    params: Any,
    grads: Any,
    repeats: int,
    torch: ModuleType | None = None,
    *,
    eager: bool = False,
) -> list[Record]:
    """Time the stages, then the steps, of all libraries in turn.

    Args:
      method: how the libraries make it.
      params: what it steps on.
      grads: the gradients of every step.
      repeats: how many rounds.
      torch: PyTorch, if it takes part.
      eager: whether ``update`` is called outside of ``jit``.

    Returns:
      A record of each library and of a copy: the quartiles of its milliseconds for a
      step; the time of gradtx over its own in the same round, so that below 1 gradtx
      wins; and the bytes that must be moved in the median time.
    """
    make = Eager if eager else Program
    programs: dict[str, Any] = {
        lib.__name__: program_of(method, lib, params, grads, make)
        for lib in (gradtx, optax)
    }
    stages = {} if eager else all_stages(programs)
    if torch is not None and method.torch is not None:
        programs["torch"] = TorchProgram(torch, *method.torch, params, grads)
    count = sum(x.size for x in params.values())
    programs["copy"] = Copy(count)
    seconds = in_turn(programs, repeats, method.period)
    jax.clear_caches()
    records = []
    for name, times in seconds.items():
        moved = count * (Copy.bytes_per_number if name == "copy" else method.bound)
        records.append(
            {
                "by": name,
                "how": programs[name].kernel,
                "ms": quartiles(1e3 * times),
                "gradtx / it": float(np.median(seconds["gradtx"] / times)),
                "must move B/param": moved / count,
                "GB/s": moved / float(np.median(times)) / 1e9,
                **stages.get(name, {}),
            }
        )
    return records
