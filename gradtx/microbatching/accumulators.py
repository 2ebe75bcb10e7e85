"""How the results of microbatches become one."""

import dataclasses
import enum
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import PyTree

# The shape and the type of one result.
Kind = jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class Accumulator:
    """Four functions that make one result of many.

        carry = init(kind of x₀)
        carry = update(carry, xᵢ, i)         i = 0, 1, …
        result = finalize(carry)

    Attributes:
      init: from the shape and type of one result, a ``jax.ShapeDtypeStruct``, to a tree
        of arrays.
      update: from that tree, the result of a microbatch and its number, to a tree of
        the same shapes and types.
      finalize: from that tree to the answer.
      aggregate: from the results of all examples of a microbatch, stacked along axis 0,
        to the xᵢ above; only :func:`micro_vmap` calls it.

    Example:
      >>> total = gradtx.microbatching.Accumulator(
      ...     lambda kind: jnp.zeros(kind.shape, kind.dtype),
      ...     lambda carry, x, i: carry + x,
      ...     lambda carry: carry,
      ...     lambda results: results.sum(axis=0),
      ... )
      >>> carry = total.update(total.init(jnp.ones(2)), jnp.ones(2), 0)
      >>> print(total.finalize(carry))
      [1. 1.]
    """

    init: Callable[[Kind], PyTree]
    update: Callable[[PyTree, jax.Array, Any], PyTree]
    finalize: Callable[[PyTree], Any]
    aggregate: Callable[[jax.Array], jax.Array]


class AccumulationType(enum.Enum):
    """The accumulators that have a name.

    They add up in at least float32 and answer in the type that came in, but for the
    mean of integers, which is a float.

    Example:
      >>> print(gradtx.microbatching.AccumulationType.MEAN.name)
      MEAN
    """

    #: The mean; microbatches that are left out count as zeros.
    MEAN = enum.auto()
    #: The sum.
    SUM = enum.auto()
    #: The mean of the microbatches that are run.
    RUNNING_MEAN = enum.auto()
    #: All results, in the order of the examples; zeros for those left out.
    CONCAT = enum.auto()


@dataclasses.dataclass(frozen=True)
class PerExample:
    """An accumulator that is given a result for every example of a microbatch."""

    accumulator: Any


def for_results(accumulator: PyTree, kinds: PyTree, count: int) -> list[Accumulator]:
    """Return an accumulator for every leaf of the results of a microbatch.

    Args:
      accumulator: an accumulator or a type of one, or a prefix of the tree of results
        with such leaves.
      kinds: the tree of the shapes and types of the results.
      count: the number of microbatches.

    Raises:
      InvalidArgument: if the trees do not match, or a leaf is no accumulator.
    """
    try:
        given = jax.tree.broadcast(accumulator, kinds)
    except ValueError as error:
        raise checks.InvalidArgument(
            f"the tree of accumulators is no prefix of the tree of results: {error}"
        ) from error
    treedef = jax.tree.structure(kinds)
    pairs = zip(treedef.flatten_up_to(given), treedef.flatten_up_to(kinds), strict=True)
    return [_for_one(each, kind, count) for each, kind in pairs]


def _for_one(accumulator: Any, kind: Kind, count: int) -> Accumulator:
    if isinstance(accumulator, PerExample):
        inner = accumulator.accumulator
        if inner is AccumulationType.SUM and kind.dtype == bool:
            return _aggregating(_sum(jnp.result_type(int), count))  # how many are true
        return _aggregating(_for_one(inner, kind, count))
    if isinstance(accumulator, AccumulationType):
        return _NAMED[accumulator](kind.dtype, count)
    # By what it can do, so that other libraries' accumulators serve too.
    if not all(hasattr(accumulator, x.name) for x in dataclasses.fields(Accumulator)):
        raise checks.InvalidArgument(
            f"an accumulator must be one of {', '.join(map(str, AccumulationType))}, "
            f"or an Accumulator, got {accumulator!r}"
        )
    return accumulator


def _aggregating(each: Accumulator) -> Accumulator:
    """Return the accumulator that takes a microbatch together before it adds it."""
    return dataclasses.replace(
        each,
        init=lambda kind: each.init(jax.eval_shape(each.aggregate, kind)),
        update=lambda carry, x, i: each.update(carry, each.aggregate(x), i),
    )


# --- those with a name -------------------------------------------------------


def _sum(dtype: Any, count: int) -> Accumulator:
    del count
    return Accumulator(
        init=lambda kind: _zeros(kind, kind.shape, numerics.compute_dtype(dtype)),
        update=lambda carry, x, i: carry + x.astype(carry.dtype),  # noqa: ARG005
        finalize=lambda carry: carry.astype(dtype),
        aggregate=partial(jnp.sum, axis=0, dtype=numerics.compute_dtype(dtype)),
    )


def _mean(dtype: Any, count: int) -> Accumulator:
    answer = _inexact(dtype)
    return dataclasses.replace(
        _sum(_wide(dtype), count),
        finalize=lambda carry: (carry / count).astype(answer),
        aggregate=partial(jnp.mean, axis=0, dtype=_wide(dtype)),
    )


def _running_mean(dtype: Any, count: int) -> Accumulator:
    return dataclasses.replace(
        _mean(dtype, count),
        update=lambda carry, x, i: carry + (x.astype(carry.dtype) - carry) / (i + 1),
        finalize=lambda carry: carry.astype(_inexact(dtype)),
    )


def _concat(dtype: Any, count: int) -> Accumulator:
    # Microbatch i holds the examples i, i + count, i + 2·count, …
    def init(kind: Kind) -> jax.Array:
        return _zeros(kind, (*kind.shape[:1], count, *kind.shape[1:]), dtype)

    def update(carry: jax.Array, x: jax.Array, i: Any) -> jax.Array:
        axis = min(x.ndim, 1)
        return jax.lax.dynamic_update_index_in_dim(carry, x, i, axis)

    def finalize(carry: jax.Array) -> jax.Array:
        return carry if carry.ndim == 1 else carry.reshape(-1, *carry.shape[2:])

    return Accumulator(init, update, finalize, aggregate=lambda x: x)


_NAMED: dict[AccumulationType, Callable[[Any, int], Accumulator]] = {
    AccumulationType.MEAN: _mean,
    AccumulationType.SUM: _sum,
    AccumulationType.RUNNING_MEAN: _running_mean,
    AccumulationType.CONCAT: _concat,
}


def _zeros(kind: Kind, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Make zeros, with the layout of the results where that is part of their type.

    What the shape has more than theirs is its second axis.
    """
    sharding = kind.sharding
    if not isinstance(sharding, jax.sharding.NamedSharding) or not any(sharding.spec):
        return jax.lax.full(shape, 0, dtype)
    first, *rest = sharding.spec
    more = [None] * (len(shape) - len(kind.shape))
    spec = jax.sharding.PartitionSpec(first, *more, *rest)
    layout = jax.sharding.NamedSharding(sharding.mesh, spec)
    return jax.lax.full(shape, 0, dtype, sharding=layout)


def _inexact(dtype: Any) -> Any:
    """Return the type of a mean of such numbers."""
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)


def _wide(dtype: Any) -> Any:
    """Return the type to compute such a mean in."""
    return numerics.compute_dtype(_inexact(dtype))
