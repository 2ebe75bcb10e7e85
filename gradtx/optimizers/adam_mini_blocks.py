"""Which entries of a parameter share one second moment, and means over them."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.foreign import plain
from gradtx.common.numerics import is_differentiable, mean
from gradtx.common.types import Params, PyTree
from gradtx.core.slots import totals
from gradtx.optimizers import naming
from gradtx.optimizers.layouts import MATRIX, Model
from gradtx.tree import masks
from gradtx.tree.placeholders import is_placeholder


class MiniBlocks(NamedTuple):
    """Which entries of a parameter make up the blocks of :func:`gradtx.adam_mini`.

    Args:
      apart: the axes along which every index is of another block; of none, the whole
        array is one block, and of all, every entry is one.
      heads: into how many blocks of consecutive indices the axis of ``apart``, then one
        only, is cut instead.

    Example:
      >>> rows = gradtx.MiniBlocks(apart=0)
      >>> tx = gradtx.scale_by_adam_mini(blocks=rows)
      >>> gradtx.tree.get(tx.init(jnp.ones((4, 2))), "nu").shape
      (4, 1)
    """

    apart: Sequence[int] | int = ()
    heads: int | None = None


def mini_blocks(
    params: Params,
    num_heads: int | None = None,
    num_kv_heads: int | None = None,
    overrides: Mapping[str, MiniBlocks] | None = None,
) -> PyTree:
    """Tell by paths and shapes which entries are to share one second moment.

    Of an embedding every row is a block; of a query or key every head; of all other
    matrices, last layers and convolutions every output; of stacked layers those of each
    layer. A norm or another vector is one block, and of a bias every entry is one.

    The names and layouts are those that :func:`gradtx.matrices` knows.

    Args:
      params: the parameters, or their shapes.
      num_heads: how many heads a query of two axes has, and a key; one of three axes,
        (in, heads, width), shows it.
      num_kv_heads: how many a key has; as many as a query, if None.
      overrides: from a regular expression that is searched for in paths, as
        "mlp/up/kernel", to the blocks of the leaf. The first that is found counts.

    Returns:
      A tree of :class:`MiniBlocks`, one for every parameter.

    Raises:
      ValueError: for a query or key of two axes without ``num_heads``, or if an
        expression is found nowhere.

    Example:
      >>> params = {"mlp": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}}
      >>> print(sorted(gradtx.mini_blocks(params)["mlp"]))
      ['bias', 'kernel']
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        params, is_leaf=checks.is_none
    )
    # What cannot have a gradient says nothing of the others.
    leaves = [(path, x if is_differentiable(x) else None) for path, x in leaves]
    model = Model(params, leaves)
    names = ["/".join(path) for path in model.names]
    for pattern in overrides or {}:
        if not any(re.search(pattern, name) for name in names):
            raise checks.InvalidArgument(
                f"mini_blocks: no path of the parameters has {pattern!r}"
            )
    heads = {"query": num_heads, "key": num_kv_heads or num_heads}
    return treedef.unflatten(
        [
            next((x for k, x in (overrides or {}).items() if re.search(k, name)), None)
            or _of_leaf(model, i, heads)
            for i, name in enumerate(names)
        ]
    )


def _of_leaf(model: Model, i: int, heads: dict[str, int | None]) -> MiniBlocks:
    route, path, n = model.route(i), model.names[i], len(model.shapes[i])
    if route.axes is None:
        return MiniBlocks(_apart_if_no_matrix(model, i, route.reason))
    reduced = route.axes.reduction_axis
    reduced = (reduced,) if isinstance(reduced, int) else tuple(reduced)
    apart = tuple(j for j in range(n) if j not in reduced)
    kind = model.attention(i) == "in" and _query_or_key(path)
    if not kind:
        return MiniBlocks(apart)
    if isinstance(route.axes.output_axis, int):  # (in, heads · width)
        if heads[kind] is None:
            raise checks.InvalidArgument(
                f"the {kind} at {route.path} of shape {route.shape} does not show its "
                "heads: give num_heads, or its blocks by overrides of mini_blocks"
            )
        return MiniBlocks(apart, heads[kind])
    return MiniBlocks(tuple(j for j in apart if j != route.axes.output_axis[1]))


def _apart_if_no_matrix(model: Model, i: int, reason: str) -> tuple[int, ...]:
    n, path = len(model.shapes[i]), model.names[i]
    if reason == "bias":
        return tuple(range(n))
    last_layer = reason.startswith("head") or "unembed" in " ".join(path).lower()
    if n >= MATRIX and last_layer:
        return (0,) if naming.is_output_first(path) else (n - 1,)
    if reason == "embedding":
        return tuple(range(n - 1))
    return (0,) if model.is_stacked(i) and n > 1 else ()


def _query_or_key(path: list[str]) -> str | None:
    found = (naming.query_or_key(name) for name in reversed(path[-2:]))
    return next((kind for kind in found if kind), None)


# --- slots and means ---------------------------------------------------------


def resolved(blocks: Any, params: Params) -> list[MiniBlocks]:
    """Return the blocks of every leaf, None being one.

    Args:
      blocks: a tree of them with the structure of the parameters, or a prefix of it, or
        a function that makes one from the parameters.
      params: the parameters.

    Raises:
      ValueError: if the structures do not fit, or something in it is of another type.
    """
    if is_placeholder(params):
        return []
    if masks.is_function(blocks):
        blocks = blocks(params)
    found, treedef = jax.tree.flatten(plain(blocks), is_leaf=_is_blocks)
    for one in found:
        if not _is_blocks(one):
            raise checks.InvalidArgument(
                f"blocks must be a tree of MiniBlocks, got {one!r}"
            )
    parts = checks.leaves_like(params, treedef, "the parameters", "the blocks")
    return [
        one
        for one, part in zip(found, parts, strict=True)
        for _ in jax.tree.leaves(part, is_leaf=checks.is_none)
    ]


def _is_blocks(x: Any) -> bool:
    return isinstance(x, MiniBlocks)


def slot(p: Any, *, blocks: MiniBlocks, path: Any) -> jax.Array:
    """Make a slot of zeros with a number for every block.

    Its axes are those of the parameter, shorter where indices share a block.

    Args:
      p: the parameter, or its shape.
      blocks: its blocks.
      path: where it is.

    Raises:
      ValueError: if the parameter has no such axes, or they cannot be cut so.
    """
    apart = _positive(blocks, p.shape, path)
    together = tuple(j for j in range(p.ndim) if j not in apart)
    made = totals(p, axis=together, keepdims=True)
    if blocks.heads is None:
        return made
    (axis,) = apart
    shape = [blocks.heads if j == axis else n for j, n in enumerate(made.shape)]
    return over_blocks(made, tuple(shape))


def _positive(blocks: MiniBlocks, shape: tuple[int, ...], path: Any) -> tuple[int, ...]:
    apart, n = blocks.apart, len(shape)
    apart = (apart,) if isinstance(apart, int) else tuple(apart)
    known = all(-n <= j < n for j in apart)
    apart = tuple(j % n for j in apart) if known else apart
    cut = blocks.heads is None or (
        len(apart) == 1 and known and shape[apart[0]] % blocks.heads == 0
    )
    if not known or not cut:
        raise checks.InvalidArgument(
            f"the leaf at {checks.path_name(path)} of shape {shape} cannot be cut into "
            f"the blocks {blocks}: heads must divide the size of one axis"
        )
    return apart


def over_blocks(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return the means of an array over blocks of equal size.

    Args:
      x: the array.
      shape: how many blocks there are along every axis, which divides its size.
    """
    whole = tuple(j for j, k in enumerate(shape) if k == 1 and x.shape[j] != 1)
    x = mean(x, whole, keepdims=True) if whole else x
    for j, k in enumerate(shape):
        if k != x.shape[j]:
            cut = x.reshape(*x.shape[:j], k, -1, *x.shape[j + 1 :])
            x = mean(cut, j + 1)
    return x


def spread(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return the numbers of blocks, each in the place of every entry, or to broadcast.

    Args:
      x: one number for each block, as :func:`over_blocks` returns them.
      shape: of the array.
    """
    for j, n in enumerate(shape):
        k = x.shape[j]
        if k not in (1, n):
            before, after = x.shape[:j], x.shape[j + 1 :]
            each = jnp.expand_dims(x, j + 1)
            each = jnp.broadcast_to(each, (*before, k, n // k, *after))
            x = each.reshape(*before, n, *after)
    return x


def check_fits(v: jax.Array, g: jax.Array, path: Any) -> None:
    """Refuse the second moments of another parameter."""
    fits = v.ndim == g.ndim and all(
        k == n or (k > 0 and n % k == 0) for k, n in zip(v.shape, g.shape, strict=True)
    )
    if not fits:
        raise checks.InvalidArgument(
            f"the gradient at {checks.path_name(path)} has shape {g.shape}, but its "
            f"state 'nu' has {math.prod(v.shape)} blocks of shape {v.shape}: it was "
            "made for another parameter"
        )
