"""Integers of 8 and 4 bits, with a scale for every block."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.codecs.blocks import Entries, blockwise
from gradtx.codecs.grids import Grid, grid
from gradtx.codecs.value import Format, codec
from gradtx.common import checks

_ROUNDINGS = ("stochastic", "nearest")


@codec
def int8(
    block: int | None = 256,
    signed: bool = True,
    map: str = "dynamic",  # noqa: A002
    rounding: str = "stochastic",
) -> Format:
    """Keep 8 bits for each number and a float32 for each block.

        s = max |x| over the block,    x̃ = ± s · T(k) / T(K)         k = 0 … K

        linear:   T(k) = k          |x̃ - x| ≤ s / K
        sqrt:     T(k) = k²         |x̃ - x| ≤ s (2 √(|x| / s) / K + 1 / K²)
        dynamic:  k whole numbers up to 2ᶠ⁺¹, then 2ᶠ of them in every octave:
                                    |x̃ - x| ≤ max(|x| / 2ᶠ, s / T(K))

    with K = 127 and f = 3 if signed, K = 255 and f = 4 if not; T(K) = (2ᶠ⁺¹ - 1) 2¹⁴ in
    the dynamic map, which so spans 16 octaves. Nearest rounding halves the errors but
    for the smallest numbers. The largest of a block, and 0, are kept exactly.

    Stochastic rounding takes the neighbour below or above at random so that E[x̃] = x,
    which lets an EMA follow changes smaller than the grid's steps. But without signs,
    and in the dynamic map of 8 bits, only 0 becomes 0: what is below the first step is
    rounded up to it, as a second moment of 0 would make the update m / (√v + ε) huge.

    A block is a box along the last axes, of at least ``block`` entries and fewer than
    twice as many along an axis, so that every device encodes its own shard of a sharded
    array.

    Args:
      block: the least number of entries that share a scale. None: one scale for every
        row along the last axis, which is best on a TPU, whose compiler materializes
        blocks that do not align with its tiles.
      signed: whether entries may be negative; if not, negative entries become 0.
      map: "linear", "sqrt" or "dynamic".
      rounding: "stochastic" or "nearest".

    Raises:
      ValueError: if ``block`` is not a whole number of at least 1, or for another map
        or rounding.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861 (blocks, and a
      map of octaves); Ortiz et al., 2026, https://arxiv.org/abs/2602.23349 (roots)

    Example:
      >>> codec = gradtx.codecs.int8(rounding="nearest")
      >>> print(codec.decode(codec.encode(jnp.array([0.5, -1.0]), 0)).round(1))
      [ 0.5 -1. ]
    """
    cells = grid(map, 8, signed=signed)
    kind = jnp.int8 if signed else jnp.uint8
    entries = in_cells(cells, block, rounding, signed=signed)

    def code(*given: Any) -> jax.Array:
        return entries.code(*given).astype(kind)

    made = blockwise(
        entries._replace(code=code),
        unsigned=not signed,
        stalls=reason(cells, rounding),
    )
    bare = partial(int8, block, signed=False, map=map, rounding=rounding)
    return made._replace(without_sign=bare if signed else None)


@codec
def int4(
    block: int | None = 128,
    signed: bool = True,
    map: str | None = None,  # noqa: A002
    rounding: str = "stochastic",
) -> Format:
    """Keep 4 bits for each number and a float32 for each block.

    As :func:`int8`, with K = 7 and f = 1 if signed, K = 15 and f = 1 if not, and
    T(K) = 12 and 192 in the dynamic map. Two codes share a byte: neighbours along the
    last axis but one if that is even, along the last if not.

    Args:
      block: the least number of entries that share a scale; None: one for every row.
      signed: whether entries may be negative; if not, negative entries become 0.
      map: "linear", "sqrt" or "dynamic"; None means "dynamic" with signs and "sqrt"
        without.
      rounding: "stochastic" or "nearest".

    Raises:
      ValueError: if ``block`` is not a whole number of at least 1, or for another map
        or rounding.

    Reference: Li et al., 2023, https://arxiv.org/abs/2309.01507 (blocks of 128, and no
      zero among second moments)

    Example:
      >>> codec = gradtx.codecs.int4(rounding="nearest")
      >>> print(codec.decode(codec.encode(jnp.array([0.5, -1.0]), 0)).round(1))
      [ 0.5 -1. ]
    """
    cells = grid(map or ("dynamic" if signed else "sqrt"), 4, signed=signed)
    entries = in_cells(cells, block, rounding, signed=signed)
    single = blockwise(entries, unsigned=not signed, stalls=reason(cells, rounding))

    def pack(*given: Any) -> jax.Array:
        return in_pairs(single.pack(*given))

    def unpack(
        codes: jax.Array, scales: jax.Array, shape: tuple[int, ...]
    ) -> jax.Array:
        codes = out_of_pairs(codes, shape)
        codes = (codes ^ 8) - 8 if signed else codes
        return single.unpack(codes, scales, shape)

    bare = partial(int4, block, signed=False, map=map, rounding=rounding)
    return single._replace(
        pack=pack,
        unpack=unpack,
        entries=None,
        without_sign=bare if signed else None,
    )


# --- what they share ---------------------------------------------------------


def checked(block: int | None, rounding: str) -> None:
    """Refuse empty blocks and unknown kinds of rounding."""
    if block is not None:
        checks.positive_int(block=block)
    if rounding not in _ROUNDINGS:
        raise checks.InvalidArgument(
            f"rounding must be one of {', '.join(_ROUNDINGS)}, got {rounding!r}"
        )


def reason(cells: Grid, rounding: str) -> str | None:
    """Say why an EMA with a decay of 0.999 would stall in this format."""
    if rounding == "nearest":
        return (
            "its steps are larger than those of the mean, which nearest rounding undoes"
            ': give rounding="stochastic"'
        )
    if not cells.keeps:
        return "it rounds small squares to 0, and the step is divided by their root"
    least = 1 / cells.top
    if least > 0.01:  # noqa: PLR2004
        return f"it has nothing between 0 and {least:.3f} of the largest in a block"
    return None


def in_cells(cells: Grid, block: int | None, rounding: str, *, signed: bool) -> Entries:
    """Return the format of a grid, in blocks with a scale each."""
    checked(block, rounding)

    def size(x: jax.Array) -> jax.Array:
        return jnp.abs(x) if signed else jnp.maximum(x, 0)

    def code(x: jax.Array, inverses: jax.Array, bits: jax.Array | None) -> jax.Array:
        sizes = size(x)
        codes = cells.encode(sizes * inverses * cells.top, bits)
        if cells.keeps:  # also where the share is too small for a float32
            codes = jnp.where(sizes > 0, jnp.maximum(codes, 1), 0)
        return jnp.where(x < 0, -codes, codes) if signed else codes

    def number(codes: jax.Array, largest: jax.Array) -> jax.Array:
        k = codes.astype(jnp.int32)
        place = jnp.abs(k) if signed else k
        # Not left to the division, so that what is encoded again keeps its scale.
        share = jnp.where(place == cells.most, 1, cells.size(place) / cells.top)
        sizes = share * largest
        return jnp.where(k < 0, -sizes, sizes) if signed else sizes

    return Entries(block, size, code, number, rounding == "stochastic")


# --- two codes in a byte -----------------------------------------------------


def _pairing(shape: tuple[int, ...]) -> int:
    """Return the axis along which neighbours share a byte.

    The second to last if it is even, as loops over the last are then contiguous.
    """
    return len(shape) - (2 if len(shape) > 1 and shape[-2] % 2 == 0 else 1)


def in_pairs(codes: jax.Array) -> jax.Array:
    """Pack two neighbours into one byte, the first into the lower bits."""
    axis = _pairing(codes.shape)
    n = codes.shape[axis]
    if n % 2:
        ends = [(0, int(i == axis)) for i in range(codes.ndim)]
        codes = jnp.pad(codes, ends)
    pairs = codes.reshape(
        (*codes.shape[:axis], -(-n // 2), 2, *codes.shape[axis + 1 :])
    )
    # As a sum: XLA would make two programs of two slices, and vectorise neither.
    parts = (pairs & 0xF) << _shifts(pairs.shape, axis + 1)
    return jnp.sum(parts, axis=axis + 1).astype(jnp.uint8)


def out_of_pairs(codes: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Unpack the codes of an array of this shape."""
    axis = _pairing(shape)
    n = codes.shape[axis]
    whole = (*shape[:axis], n, 2, *shape[axis + 1 :])
    twice = jnp.broadcast_to(jnp.expand_dims(codes.astype(jnp.int32), axis + 1), whole)
    each = (twice >> _shifts(whole, axis + 1) & 0xF).reshape(
        (*shape[:axis], 2 * n, *shape[axis + 1 :])
    )
    return jax.lax.slice_in_dim(each, 0, shape[axis], axis=axis)


def _shifts(shape: tuple[int, ...], axis: int) -> jax.Array:
    return 4 * jax.lax.broadcasted_iota(jnp.int32, shape, axis)
