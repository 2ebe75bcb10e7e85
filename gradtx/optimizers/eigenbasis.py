"""What methods share that work in the eigenbases of a gradient's Kronecker factors.

For every axis of a block that is not left alone they keep a factor L, a sum over what
lies along the other axes, and a basis Q: arrays of shape (n, d, d) for n blocks. In the
state a leaf has a tuple of them for every region, with None for an axis that has none.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.numerics import compute_dtype, ema, real_dtype
from gradtx.common.types import Count, Scalar
from gradtx.core.stacking import Column, Leaves, columns_of, sharded_along
from gradtx.linalg.bases import eigenvectors, turned
from gradtx.linalg.blocks import Blocks, Dims
from gradtx.linalg.kronecker import gram, multiply_axes, norms
from gradtx.linalg.stacks import by_shape
from gradtx.lowering.conditional import cond_inplace

# ``has(dims, i)``: whether axis i of a tensor has a factor.
Has = Callable[[Dims, int], bool]


def up_to(limit: int) -> Has:
    """Let axes have a factor that are not longer than ``limit``.

    An axis of length 1 needs none: its factor is a number.
    """
    return lambda dims, i: 1 < dims[i] <= limit


def or_elementwise(blocks: Blocks, has: Has) -> Blocks:
    """Return the blocks, or the leaf as it is where no axis has a factor."""
    dims = blocks.dims
    some = any(has(dims, i) for i in range(len(dims)))
    if blocks.elementwise or blocks.numbers is not None or some:
        return blocks
    return Blocks(blocks.shape, elementwise=True)


def per_axis(
    p: jax.Array, blocks: Blocks, *, has: Has, make: Callable[[int, int, Any], Any]
) -> Any:
    """Make a slot with an array for every axis that has a factor.

    Args:
      p: the parameter.
      blocks: how it is taken apart.
      has: which axes have one.
      make: ``make(n, d, dtype)``, for n blocks and an axis of length d.
    """
    dtype = compute_dtype(real_dtype(p.dtype))

    def one(region: Any) -> Any:
        n, dims = blocks.sizes(region)
        if blocks.elementwise:
            return (None,) * len(dims)
        return tuple(
            sharded_along(p, blocks, i, make(n, d, dtype)) if has(dims, i) else None
            for i, d in enumerate(dims)
        )

    return tuple(map(one, blocks.regions))


def zero_matrices(n: int, d: int, dtype: Any) -> jax.Array:
    """Make n factors that nothing has been added to."""
    return jnp.zeros((n, d, d), dtype)


def identities(n: int, d: int, dtype: Any) -> jax.Array:
    """Make n bases that turn nothing."""
    return jnp.broadcast_to(jnp.eye(d, dtype=dtype), (n, d, d))


def factors_and_bases(has: Has) -> dict[str, Any]:
    """Return the slots ``factors`` and ``bases``."""
    return {
        "factors": partial(per_axis, has=has, make=zero_matrices),
        "bases": partial(per_axis, has=has, make=identities),
    }


def rotate(leaves: Leaves, blocks: Column, bases: Column) -> Column:
    """Return blocks in their bases."""
    return leaves.stacked(multiply_axes, blocks, bases)


def rotate_back(
    leaves: Leaves, blocks: Column, bases: Column, *, normalize: bool = False
) -> Column:
    """Return blocks that are in their bases as they were before."""
    return leaves.stacked(partial(rotated_back, normalize=normalize), blocks, bases)


def rotated_back(x: jax.Array, bases: Any, *, normalize: bool = False) -> jax.Array:
    """Return some blocks as they were before, perhaps with a mean square of 1."""
    u = multiply_axes(x, bases, transpose=True)
    return _normalized(u) if normalize else u


def averaged_grams(
    leaves: Leaves,
    blocks: Column,
    factors: Column,
    decay: Scalar,
    average: Callable[..., jax.Array] = ema,
) -> Column:
    """Return L ← β L + (1 - β) G₍ᵢ₎ G₍ᵢ₎ᵀ for every axis that has a factor.

    Args:
      leaves: the leaves.
      blocks: the gradients.
      factors: L.
      decay: β.
      average: from the old, the new and β to what is kept.
    """

    def grams(x: jax.Array, old: Any) -> Any:
        return tuple(None if a is None else gram(x, i) for i, a in enumerate(old))

    new = leaves.together(leaves.stacked(grams, blocks, factors))
    return jax.tree.map(lambda a, b: average(a, b, decay), factors, new)


def all_eigenvectors(leaves: Leaves, factors: Column, *, descending: bool) -> Column:
    """Return the eigenvectors of every factor."""

    def find(a: jax.Array) -> tuple[jax.Array]:
        return (eigenvectors(a, descending=descending),)

    return by_length(leaves, find, factors)[0]


def by_length(
    leaves: Leaves, function: Callable[..., tuple[Any, ...]], *columns: Any
) -> list[Column]:
    """Apply a function to what there is for every axis, once for all of one length.

    So all decompositions of matrices of one size are one, of whatever leaf and axis.

    Args:
      leaves: the leaves, which know how stacks are shared out.
      function: of an array (n, d, d) of every column to a tuple of arrays (n, ...).
      *columns: with an array, or None, for every axis of every region.

    Returns:
      For each of the tuple's entries a column of it.
    """
    treedef = jax.tree.structure(columns[0])
    rows = zip(*map(jax.tree.leaves, columns), strict=True)
    found = zip(*by_shape(function, list(rows), leaves.split), strict=True)
    return [treedef.unflatten(x) for x in found] or [columns[0]]


def refreshed(
    leaves: Leaves,
    t: Count,
    every: int,
    factors: Column,
    bases: Column,
    mean: Column | None = None,
    squares: Column | None = None,
) -> tuple[Any, ...]:
    """Find all eigenvectors in the first step, and turn the bases every few later ones.

    Args:
      leaves: the leaves.
      t: the step, counted from 1.
      every: after how many of those after the first the bases are turned: each towards
        the eigenvectors of its factor, by one QR.
      factors: the factors.
      bases: the bases.
      mean: arrays of the leaves' shapes in the bases; they are brought into the new.
      squares: arrays of the same shapes. If given, the new bases are sorted, and these
        sorted with them; they are not turned, as squares cannot be.

    Returns:
      The new bases, mean and squares.
    """
    kept = bases, mean, squares
    # What has no basis is not handed to the conditional, which would hand it on.
    here = [i for i, axes in enumerate(bases) if jax.tree.leaves(axes)]
    if not here:
        return kept

    def some(column: Column | None) -> Any:
        return None if column is None else [column[i] for i in here]

    def whole(column: Column | None, new: Any) -> Any:
        places = dict(zip(here, new or (), strict=False))
        return column and [places.get(i, x) for i, x in enumerate(column)]

    turn = partial(_turned, leaves.some(here), t == 1, some(factors))
    due = (t - 1) % every == 0
    new = cond_inplace(due, turn, tuple(map(some, kept)))
    return tuple(map(whole, kept, new))


def _turned(
    leaves: Leaves, first: Any, factors: Column, kept: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return new bases, and the mean and squares in them; only what is given."""
    if leaves.split is not None:
        return _turned_by_block(leaves, first, factors, kept)
    bases, mean, squares = kept
    turn = partial(turned, sort=squares is not None, anew=first)
    new, change, order = by_length(leaves, turn, factors, bases)
    if mean is not None:
        mean = leaves.join(leaves.stacked(multiply_axes, leaves.cut(mean), change))
    if squares is not None:
        squares = leaves.join(leaves.stacked(sorted_axes, leaves.cut(squares), order))
    return new, mean, squares


def _turned_by_block(
    leaves: Leaves, first: Any, factors: Column, kept: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Turn all bases of a block, and the block itself, on the device that has it.

    By length, the changes would be sent from where they are found to the blocks.
    """
    bases, mean, squares = kept
    given = [x for x in (mean, squares) if x is not None]

    def turn(axes: Any, old: Any, *blocks: jax.Array) -> Any:
        unknown = (None, None, None)
        found = [
            unknown if a is None else turned(a, q, sort=squares is not None, anew=first)
            for a, q in zip(axes, old, strict=True)
        ]
        new, change, order = zip(*found, strict=True)
        made = iter(blocks)
        ways = [(mean, multiply_axes, change), (squares, sorted_axes, order)]
        return new, *(f(next(made), q) for x, f, q in ways if x is not None)

    done = leaves.stacked(turn, factors, bases, *map(leaves.cut, given))
    new, *blocks = columns_of(done, 1 + len(given))
    made = map(leaves.join, blocks)
    return new, *(None if x is None else next(made) for x in (mean, squares))


def sorted_axes(x: jax.Array, orders: Any) -> jax.Array:
    """Sort a block along every axis that has an order, of shape (n, d)."""
    # Read in a kernel of their own, squares can then be written where they stood.
    x = jax.lax.optimization_barrier(x)
    for i, order in enumerate(orders):
        if order is None:
            continue
        shape = [1] * x.ndim
        shape[0], shape[i + 1] = order.shape
        places = jnp.broadcast_to(order.reshape(shape), x.shape)
        x = jnp.take_along_axis(x, places, axis=i + 1, mode="promise_in_bounds")
    return x


def _normalized(u: jax.Array) -> jax.Array:
    """Divide every block by the root of its mean square."""
    rms = norms(u) / math.sqrt(max(math.prod(u.shape[1:]), 1))
    return u / (rms + 1e-30)


def unless_first(
    average: Callable[..., jax.Array], decay: Scalar, first: Any, old: Any, x: Any
) -> jax.Array:
    """Return one step of a running mean, which the first step leaves as it is."""
    return jnp.where(first, old, average(old, x, decay))
