"""Hints by which XLA computes several arrays in one kernel."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.lowering.control_flow import platform_dependent

# With what is read and written beside each, XLA takes 96 arrays into a kernel at most.
MAX_FUSED_LEAVES = 12


def hint_horizontal_fusion(arrays: Sequence[Any], count: jax.Array) -> list[Any]:
    """Return arrays as they are, for a GPU to compute those of one shape together.

    What is computed of each, entry by entry, then takes one kernel for a dozen of them
    and moves the same bytes; left alone, XLA starts one for each, and compiles it too.

    Args:
      arrays: those that are None stay None.
      count: a whole number that every device knows, such as the step's.
    """
    done = list(arrays)
    if not isinstance(count, Tracer):  # nothing is compiled together
        return done
    groups = defaultdict(list)
    for i, x in enumerate(arrays):
        if x is not None:
            groups[x.shape, x.dtype].append(i)
    for members in groups.values():
        for begin in range(0, len(members), MAX_FUSED_LEAVES):
            some = members[begin : begin + MAX_FUSED_LEAVES]
            if len(some) > 1:
                flag = shared_predicate(jnp.broadcast_to(count, (2,)))[0]
                for i in some:
                    done[i] = jnp.where(flag, arrays[i], 0)
    return done


def shared_predicate(x: jax.Array) -> jax.Array:
    """Return flags that are True, for XLA to put those who read them into one kernel.

    Pieces of one array that do not overlap share nothing that is read, by its reckoning
    for GPUs, so each would get a kernel of its own. A single flag counts for nothing.
    """

    def opaque(x: jax.Array) -> jax.Array:
        known = x > 0
        return jax.lax.optimization_barrier(known | jnp.logical_not(known))

    return platform_dependent(x, cuda=opaque, default=lambda x: jnp.ones(x.shape, bool))


def in_turn(arrays: Any, before: Any) -> Any:
    """Return a tree of arrays as it is, but not before another one is computed.

    Two batches of LAPACK's that run at the same time share out their parts over the
    threads of a CPU and wait; with as few threads as batches they wait for ever. So one
    must depend on the other: by a condition that never holds, but that no compiler
    simplifies. A barrier is gone before the program is scheduled.

    Args:
      arrays: what the later batch is computed from.
      before: what the earlier one makes; nothing to wait for if it has no entries.
    """
    made = next((x for x in jax.tree.leaves(before) if x.size), None)
    if made is None:
        return arrays
    never = jnp.abs(jax.lax.stop_gradient(made[(0,) * made.ndim])) < -1
    return jax.tree.map(lambda x: jnp.where(never, jnp.zeros_like(x), x), arrays)
