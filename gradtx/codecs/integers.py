"""Whole numbers of 8 and 4 bits, with a scale for every block."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import checks
from gradtx.codecs.blocks import Boxes, boxes
from gradtx.codecs.dither import thresholds
from gradtx.codecs.grids import Grid, grid
from gradtx.codecs.value import Format, codec

_ROUNDINGS = ("stochastic", "nearest")


@codec
def int8(
    block: int = 256,
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

    Stochastic rounding takes the neighbour below or above at random so that x̃ is x on
    average, which lets a mean follow steps smaller than those of the grid. But without
    signs, and in the dynamic map of 8 bits, nothing but 0 becomes 0: what is below the
    first step goes to it. A second moment of 0 would make the step m / (√v + ε) huge.

    A block is a box along the last axes, of at least ``block`` numbers and fewer than
    twice as many along an axis, so that an array which is spread over devices is
    encoded where it lies.

    Args:
      block: the least number of numbers that share a scale.
      signed: whether there are numbers below 0; if not, they become 0.
      map: "linear", "sqrt" or "dynamic".
      rounding: "stochastic" or "nearest".

    Raises:
      ValueError: if ``block`` is not a whole number of at least 1, or for another map
        or rounding.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861 (blocks, and a
      map of octaves); Ortiz et al., 2026, https://arxiv.org/abs/2602.23349 (roots)
    """
    cells = grid(map, 8, signed=signed)
    kind = jnp.int8 if signed else jnp.uint8
    checked(block, rounding)

    def pack(
        x: jax.Array, seed: jax.Array, salt: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        cut = boxes(x.shape, block)
        z = cut.split(x)
        largest = maxima(z, cut, signed)
        level = _level(rounding, seed, salt)(z.shape)
        codes = quantized(z, largest, cells, signed, level).astype(kind)
        return cut.join(codes), largest.reshape(cut.counts)

    def unpack(
        codes: jax.Array, scales: jax.Array, shape: tuple[int, ...]
    ) -> jax.Array:
        cut = boxes(shape, block)
        return cut.join(restored(cut.split(codes), scales, cut, cells))

    return Format(pack, unpack, not signed, reason(cells, rounding))


@codec
def int4(
    block: int = 128,
    signed: bool = True,
    map: str | None = None,  # noqa: A002
    rounding: str = "stochastic",
) -> Format:
    """Keep 4 bits for each number and a float32 for each block.

    As :func:`int8`, with K = 7 and f = 1 if signed, K = 15 and f = 1 if not, and
    T(K) = 12 and 192 in the dynamic map. Two codes share a byte, those of one box of
    the last axis, the first half of it in the lower bits.

    Args:
      block: the least number of numbers that share a scale.
      signed: whether there are numbers below 0; if not, they become 0.
      map: "linear", "sqrt" or "dynamic"; None means "dynamic" with signs and "sqrt"
        without.
      rounding: "stochastic" or "nearest".

    Raises:
      ValueError: if ``block`` is not a whole number of at least 1, or for another map
        or rounding.

    Reference: Li et al., 2023, https://arxiv.org/abs/2309.01507 (blocks of 128, and no
      zero among second moments)
    """
    cells = grid(map or ("dynamic" if signed else "sqrt"), 4, signed=signed)
    checked(block, rounding)

    def pack(
        x: jax.Array, seed: jax.Array, salt: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        cut = boxes(x.shape, block, even=True)
        z = cut.split(x)
        largest = maxima(z, cut, signed)
        # Parted before they are encoded: codes that are used twice would be written.
        level = jnp.broadcast_to(_level(rounding, seed, salt)(z.shape), z.shape)
        low, high = (
            quantized(part, largest, cells, signed, above)
            for part, above in zip(_halves(z), _halves(level), strict=True)
        )
        codes = (low & 0xF | (high & 0xF) << 4).astype(jnp.uint8)
        return cut.join(codes), largest.reshape(cut.counts)

    def unpack(
        codes: jax.Array, scales: jax.Array, shape: tuple[int, ...]
    ) -> jax.Array:
        cut = boxes(shape, block, even=True)
        halves = cut._replace(
            shape=(*shape[:-1], codes.shape[-1]),
            sides=(*cut.sides[:-1], cut.sides[-1] // 2),
        )
        both = halves.split(codes).astype(jnp.int32)[..., None, :]
        shifts = jnp.int32([0, 4]).reshape(
            [2 if i == both.ndim - 2 else 1 for i in range(both.ndim)]
        )
        split = both >> shifts & 0xF
        split = (split ^ 8) - 8 if signed else split
        split = split.reshape(cut.parted)
        return cut.join(restored(split, scales, cut, cells))

    return Format(pack, unpack, not signed, reason(cells, rounding))


# --- what they share ---------------------------------------------------------


def checked(block: int, rounding: str) -> None:
    """Refuse blocks of nothing, and ways of rounding that do not exist."""
    checks.whole(block=block)
    if rounding not in _ROUNDINGS:
        raise checks.Misuse(
            f"rounding must be one of {', '.join(_ROUNDINGS)}, got {rounding!r}"
        )


def reason(cells: Grid, rounding: str) -> str | None:
    """Say why a mean that moves by a thousandth a step would not get to its end."""
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


def _level(rounding: str, seed: jax.Array, salt: jax.Array) -> Callable[..., Any]:
    """Return how the thresholds are made for a shape."""
    if rounding == "nearest":
        return lambda _: 0.5
    return lambda shape: thresholds(shape, seed, salt)


def _halves(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    half = z.shape[-1] // 2
    return z[..., :half], z[..., half:]


def maxima(z: jax.Array, cut: Boxes, signed: bool) -> jax.Array:
    """Return the largest size in every box."""
    size = jnp.abs(z) if signed else z
    return jnp.max(size, axis=cut.axes, keepdims=True, initial=0.0)


def quantized(
    z: jax.Array, largest: jax.Array, cells: Grid, signed: bool, level: Any
) -> jax.Array:
    """Return the codes of numbers that are split into boxes."""
    size = jnp.abs(z) if signed else jnp.maximum(z, 0)
    share = size / jnp.where(largest == 0, 1, largest)
    codes = cells.encode(share * cells.top, level)
    if cells.keeps:  # also where the share is too small for a float32
        codes = jnp.where(size > 0, jnp.maximum(codes, 1), 0)
    return jnp.where(z < 0, -codes, codes) if signed else codes


def restored(codes: jax.Array, scales: jax.Array, cut: Boxes, cells: Grid) -> jax.Array:
    """Return the numbers of codes that are split into boxes."""
    k = codes.astype(jnp.int32)
    number = jnp.abs(k)
    # Not left to the division, so that what is encoded again keeps its scale.
    share = jnp.where(number == cells.most, 1, cells.size(number) / cells.top)
    size = share * cut.over(scales)
    return jnp.where(k < 0, -size, size)
