"""For methods whose leaves must see each other: sums over them, numbers they share."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import numerics
from gradtx.common.leaves import differentiable
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import AxisName, DTypeLike, Params, PyTree, Updates
from gradtx.core.leafwise import (
    flatten_updates,
    matching_params,
    matching_slots,
    to_compute_dtype,
)
from gradtx.lowering import collective
from gradtx.lowering.sharding import replicated_like
from gradtx.lowering.varying import varied_with
from gradtx.tree.sums import sums


def compute_leaves(
    updates: Updates, params: Params | None = None, **slots: PyTree
) -> list[tuple[Any, ...]]:
    """Return for every leaf that has a gradient the gradient, parameter and slots.

    All come in at least float32. A leaf without a gradient is left out: it is not
    updated, so it has no part in what the others share.

    Args:
      updates: the tree of gradients.
      params: the parameters; without them each is None.
      **slots: trees of state with one array for every leaf.

    Raises:
      ValueError: if the trees or the shapes of two leaves differ; the path is named.
    """
    leaves, treedef = flatten_updates(updates)
    unknown = [None] * len(leaves)
    found = unknown if params is None else matching_params(params, leaves, treedef)
    columns = [
        matching_slots(slot, leaves, treedef, name) for name, slot in slots.items()
    ]
    return [
        (_wide(g), None if p is None else _wide(p), *map(_wide, old))
        for (_, g), p, *old in zip(leaves, found, *columns, strict=True)
        if is_differentiable(g)
    ]


def _wide(x: Any) -> jax.Array:
    return to_compute_dtype(jnp.asarray(x))


def inner(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return Re⟨x, y⟩ of two arrays."""
    return jnp.sum(real_products(x, y))


def real_products(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the parts of Re⟨x, y⟩, one for every entry."""
    if jnp.iscomplexobj(x) and jnp.iscomplexobj(y):
        return x.real * y.real + x.imag * y.imag
    return x.real * y.real


def sum_over_leaves(
    parts: Iterable[jax.Array],
    axis_name: AxisName = None,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Return the sum of one number from every leaf, and 0 where there is no leaf.

    Args:
      parts: the numbers.
      axis_name: as :func:`gradtx.tree.norm` takes it: numbers that vary along it, by
        their types, are summed over its devices too.
      dtype: the least precise type of the sum.
    """
    zero = jnp.zeros((), dtype)
    return sum(collective.sums_of_groups(parts, axis_name, zero), start=zero)


def holds_anywhere(flag: Any, axis_name: AxisName) -> jax.Array:
    """Return whether a flag is set on one device at least.

    Args:
      flag: whether it is set here.
      axis_name: as :func:`gradtx.tree.norm` takes it.
    """
    return sum_over_leaves([jnp.asarray(flag, jnp.int32)], axis_name, jnp.int32) > 0


def sum_columns(
    rows: Iterable[tuple[jax.Array, ...]], many: int, axis_name: AxisName = None
) -> Any:
    """Return so many sums over all leaves, of the arrays in the row of each leaf.

    Args:
      rows: the arrays of each leaf.
      many: how many arrays a row has.
      axis_name: as :func:`gradtx.tree.norm` takes it.
    """
    columns = list(zip(*map(sums, rows), strict=True)) or [()] * many
    return [sum_over_leaves(column, axis_name) for column in columns]


def shared_scalar(params: Params, value: Any, axis_name: AxisName = None) -> jax.Array:
    """Make a number that all leaves share, in their largest type, at least float32.

    Args:
      params: the leaves, or their shapes and types.
      value: the number.
      axis_name: the axes along which it is one number of all devices.
    """
    kinds = [numerics.real_dtype(jnp.result_type(p)) for p in differentiable(params)]
    dtype = jnp.result_type(jnp.float32, *map(numerics.compute_dtype, kinds))
    return varied_with(params, replicated_like(params, value, dtype), axis_name)
