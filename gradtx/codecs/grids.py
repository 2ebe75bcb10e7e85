"""Grids: the sizes that a few bits can tell apart, from 0 to ``top``, by number.

The grid says what size a number has, and which number a size is rounded to.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.codecs.dither import bits_of, share_of
from gradtx.common import checks

MAPS = ("linear", "sqrt", "dynamic")


class Grid(NamedTuple):
    """Sizes by number, of which 1 is that of the first.

    Args:
      most: the largest number.
      top: its size.
      size: from numbers to their sizes.
      encode: from sizes, from 0 to ``top``, to the number of a neighbour: at random,
        right on average, by random bits; the nearest one, if these are None.
      keeps: whether nothing but 0 is rounded to 0.
    """

    most: int
    top: float
    size: Callable[[jax.Array], jax.Array]
    encode: Callable[[jax.Array, jax.Array | None], jax.Array]
    keeps: bool


def grid(name: str, bits: int, *, signed: bool) -> Grid:
    """Return the grid of a map for sizes of some bits; the sign takes one of them."""
    if name not in MAPS:
        raise checks.Misuse(f"map must be one of {', '.join(MAPS)}, got {name!r}")
    most = 2 ** (bits - signed) - 1
    keeps = not signed
    if name == "linear":
        return Grid(most, float(most), _float, _between(most, _float, _floor), keeps)
    if name == "sqrt":
        encode = _between(most, _square, _root)
        return Grid(most, float(most**2), _square, encode, keeps)
    # 16 octaves in 8 bits, 4 or 8 of them in 4.
    fraction = {8: 4, 7: 3, 4: 1, 3: 1}[bits - signed]
    # The first of few steps is too large for all that is below it to go there.
    return _dynamic(most, fraction, keeps=not signed or bits == 8)  # noqa: PLR2004


def _between(
    most: int,
    size: Callable[[jax.Array], jax.Array],
    below: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array, jax.Array | None], jax.Array]:
    """Return how sizes are encoded where ``below`` gives the number not above."""

    def encode(y: jax.Array, bits: jax.Array | None) -> jax.Array:
        low = jnp.minimum(below(y), most - 1)
        start, end = size(low), size(low + 1)
        threshold = 0.5 if bits is None else share_of(bits)
        return low + (y - start > threshold * (end - start))

    return encode


def _float(k: jax.Array) -> jax.Array:
    return k.astype(jnp.float32)


def _floor(y: jax.Array) -> jax.Array:
    return jnp.floor(y).astype(jnp.int32)


def _square(k: jax.Array) -> jax.Array:
    return _float(k * k)


def _root(y: jax.Array) -> jax.Array:
    return _floor(jnp.sqrt(y))


def _dynamic(most: int, fraction: int, *, keeps: bool) -> Grid:
    """Return a grid of whole numbers with few leading bits: a float without a point.

    Below 2^(fraction + 1) the sizes are all whole numbers; every further octave has
    2^fraction of them. Sizes and numbers are bits of float32, shifted.
    """
    shift, ones = 23 - fraction, 1 << fraction
    lowest = (126 + fraction) << fraction  # so that ones itself has the number ones

    def size(k: jax.Array) -> jax.Array:
        large = bits_of((k + lowest) << shift, jnp.float32)
        return jnp.where(k < ones, _float(k), large)

    def encode(y: jax.Array, bits: jax.Array | None) -> jax.Array:
        # What is added below the last bit that stays carries into it as it should,
        # also from one octave to the next. The sizes below the first octave, as far
        # apart as in it, are rounded in it.
        low = y < ones
        inside = bits_of(jnp.where(low, y + ones, y), jnp.int32)
        half = (1 << (shift - 1)) - 1
        added = half if bits is None else (bits >> (32 - shift)).astype(jnp.int32)
        k = ((inside + added) >> shift) - jnp.where(low, lowest + ones, lowest)
        return jnp.minimum(k, most)

    octaves = (most >> fraction) - 1
    top = float((ones + (most & (ones - 1))) << octaves)
    return Grid(most, top, size, encode, keeps)
