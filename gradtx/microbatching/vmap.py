"""A function of one example, mapped over one microbatch after another."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.microbatching.accumulators import AccumulationType, PerExample, for_results
from gradtx.microbatching.loop import accumulated
from gradtx.microbatching.microbatch import check_size


def micro_vmap(
    fun: Callable[..., PyTree],
    in_axes: int | Sequence[Any] | None = 0,
    out_axes: Any = 0,
    *,
    microbatch_size: int | None = None,
    vmap_fn: Callable[..., Callable[..., PyTree]] = jax.vmap,
    accumulator: PyTree = AccumulationType.CONCAT,
    num_real_microbatches: Any = None,
) -> Callable[..., PyTree]:
    """Map a function over a batch in small pieces, and take its results together.

    With the default it returns what ``jax.vmap`` returns, and computes one microbatch
    after another. With a sum or a mean the results of the single examples are added up
    at once, and never held all together.

    Args:
      fun: a function of one example to a tree of arrays.
      in_axes: the batch axes of the positional arguments, as in ``jax.vmap``. Arguments
        given by name have it first.
      out_axes: 0, for the results that keep a batch axis.
      microbatch_size: the number of examples in a microbatch, which divides the batch;
        None makes one of all.
      vmap_fn: what maps, called as ``vmap_fn(fun, in_axes, out_axes)``.
      accumulator: how the results become one: an :class:`AccumulationType` or an
        :class:`Accumulator`, or a tree of them that is a prefix of the results' tree.
      num_real_microbatches: how many microbatches to run; see :func:`microbatch`.

    Returns:
      A function of the same arguments, with a batch axis more.

    Raises:
      ValueError: if ``out_axes`` is not 0, or for what :func:`microbatch` refuses.

    Example:
      >>> square = gradtx.microbatching.micro_vmap(lambda x: x**2, microbatch_size=2)
      >>> print(square(jnp.arange(4.0)))
      [0. 1. 4. 9.]
    """
    with checks.named("micro_vmap"):
        check_size(microbatch_size, num_real_microbatches)
        if any(axis != 0 for axis in jax.tree.leaves(out_axes)):
            raise checks.InvalidArgument(
                f"out_axes must be 0, got {out_axes!r}: move the axis of the result "
                "with jnp.moveaxis"
            )
    each = jax.tree.map(PerExample, accumulator)

    @wraps(fun)
    def mapped(*args: Any, **kwargs: Any) -> PyTree:
        with checks.named("micro_vmap"):
            axes = _axes(in_axes, args)
            over_examples = vmap_fn(fun, axes, out_axes)
            if microbatch_size is None:
                return _at_once(over_examples(*args, **kwargs), each)
            return accumulated(
                over_examples,
                (args, kwargs),
                (axes, dict.fromkeys(kwargs, 0)),
                microbatch_size,
                each,
                num_real_microbatches,
            )

    return mapped


def _axes(in_axes: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if in_axes is None or isinstance(in_axes, int):
        return (in_axes,) * len(args)
    if len(in_axes) != len(args):
        raise checks.InvalidArgument(
            f"in_axes must be one axis, or one for each of the {len(args)} positional "
            f"arguments, got {in_axes!r}"
        )
    return tuple(in_axes)


def _at_once(results: PyTree, accumulator: PyTree) -> PyTree:
    """Return what the accumulators make of a single microbatch."""
    leaves, treedef = jax.tree.flatten(results)
    kinds = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]
    each = for_results(accumulator, treedef.unflatten(kinds), 1)
    return treedef.unflatten(
        [
            a.finalize(a.update(a.init(kind), x, 0))
            for a, kind, x in zip(each, kinds, leaves, strict=True)
        ]
    )
