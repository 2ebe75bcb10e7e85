"""Decompositions of a stack, on a CPU one matrix after another."""

from collections.abc import Callable
from typing import Any

import jax

from gradtx.common.types import PyTree
from gradtx.lowering.control_flow import platform_dependent, scan


def each_matrix(function: Callable[..., PyTree], *stacks: jax.Array) -> Any:
    """Apply a decomposition or a solve to a stack of matrices.

    On a GPU or TPU it is given the whole stack, on a CPU one matrix at a time: there
    jaxlib 0.10 spreads the batch of one call over the pool of threads and lets a thread
    of the pool wait for it. As many such calls at once as there are threads, such as
    for stacks of two shapes on two cores, wait for ever.

    Args:
      function: of an array with any number of batch axes for every stack.
      *stacks: arrays of the same first length.
    """
    if len(stacks[0]) == 1:
        return function(*stacks)

    def one_by_one(*stacks: jax.Array) -> Any:
        return scan(lambda _, row: (None, function(*row)), None, stacks)[1]

    return platform_dependent(*stacks, cpu=one_by_one, default=function)
