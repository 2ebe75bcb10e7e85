"""What is done in some steps only, so that the other steps do not pay for it."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common.leaves import is_array
from gradtx.lowering.control_flow import cond, steady, while_loop
from gradtx.lowering.jaxprs import opened
from gradtx.lowering.varying import varying_axes

T = TypeVar("T")


def cond_inplace(condition: Any, run: Callable[[T], T], kept: T) -> T:
    """Return ``run(kept)`` if the condition holds, and ``kept`` as it is if not.

    For large arrays. XLA works in place on what a loop carries, and here that is a loop
    of one round or none. What it hands to a conditional it may copy, and on a GPU it
    does both branches of a small one and selects. Derivatives, which do not pass
    backwards through such a loop, are those of ``lax.cond``.

    An array of the result lies where the array of ``kept`` lay if it is made of that
    entry by entry; otherwise it is copied there.

    Args:
      condition: a boolean, which may be traced; a known one is looked at.
      run: from a tree of arrays to one of the same structure, shapes and types. It may
        use arrays from around it, but not those of ``kept``: one may be overwritten.
      kept: the tree of arrays.
    """
    if not isinstance(condition, Tracer):
        return run(kept) if condition else kept
    leaves, treedef = jax.tree.flatten(kept)
    # Not functions, nor what JAX gives for the gradient of an integer: a loop cannot
    # carry those.
    places = [i for i, x in enumerate(leaves) if is_array(x)]

    def moving(carried: list[Any]) -> list[Any]:
        given = dict(zip(places, carried, strict=True))
        whole = [given.get(i, x) for i, x in enumerate(leaves)]
        found, structure = jax.tree.flatten(run(treedef.unflatten(whole)))
        if structure != treedef:
            raise TypeError(f"{structure} came where {treedef} was kept")
        return [found[i] for i in places]

    # What it uses from around it is passed on openly, as derivatives need it. And it is
    # one operation, as its parts, made anew, would forget how they lie over devices.
    start = [jnp.asarray(leaves[i]) for i in places]
    # Where devices differ in the condition, they differ in all that hangs on it.
    start, settled = steady(moving, start, lambda _: varying_axes(condition))
    program, around = opened(jax.jit(settled), start)
    ends = dict(zip(places, _loop(program, condition, around, start), strict=True))
    return treedef.unflatten([ends.get(i, x) for i, x in enumerate(leaves)])


def either_inplace(
    condition: Any, run: Callable[[T], T], otherwise: Callable[[T], T], kept: T
) -> T:
    """Return ``run(kept)`` if the condition holds, and ``otherwise(kept)`` if not.

    Each is one pass over memory, in place, as :func:`cond_inplace` does it; what both
    begin with is compiled twice. What they use from around them is in memory before, so
    the compiler does not fuse them with what makes it.
    """
    if not isinstance(condition, Tracer):
        return run(kept) if condition else otherwise(kept)
    return cond_inplace(~condition, otherwise, cond_inplace(condition, run, kept))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loop(run: Callable[..., Any], condition: Any, around: Any, kept: Any) -> Any:
    def once(carried: Any) -> Any:
        return False, run(around, carried[1])

    return while_loop(lambda carried: carried[0], once, (condition, kept))[1]


@_loop.defjvp
def _loop_jvp(run: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    condition, *rest = primals

    def choice(around: Any, kept: Any) -> Any:
        return cond(condition, run, lambda _, kept: kept, around, kept)

    return jax.jvp(choice, tuple(rest), tuple(tangents[1:]))
