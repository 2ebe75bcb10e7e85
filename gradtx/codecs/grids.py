"""Grids: the sizes that a few bits can tell apart, from 0 to ``top``, by number.

The grid says what size a number has, and which is the last number not above a size.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx import checks
from gradtx.codecs.dither import bits_of

MAPS = ("linear", "sqrt", "dynamic")


class Grid(NamedTuple):
    """Sizes by number, of which 1 is that of the first.

    Args:
      most: the largest number.
      top: its size.
      size: from numbers to their sizes.
      below: from sizes to the last number that is not above.
      keeps: whether nothing but 0 is rounded to 0.
    """

    most: int
    top: float
    size: Callable[[jax.Array], jax.Array]
    below: Callable[[jax.Array], jax.Array]
    keeps: bool

    def encode(self, y: jax.Array, threshold: jax.Array | float) -> jax.Array:
        """Return the numbers of sizes, rounded up where they lie above the threshold.

        Args:
          y: sizes, from 0 to ``top``.
          threshold: how far from one size to the next is near to the next; a half for
            nearest rounding, uniform in [0, 1) for an unbiased one.
        """
        low = jnp.minimum(self.below(y), self.most - 1)
        start, end = self.size(low), self.size(low + 1)
        return low + (y - start > threshold * (end - start))


def grid(name: str, bits: int, *, signed: bool) -> Grid:
    """Return the grid of a map for sizes of some bits; the sign takes one of them."""
    if name not in MAPS:
        raise checks.Misuse(f"map must be one of {', '.join(MAPS)}, got {name!r}")
    most = 2 ** (bits - signed) - 1
    if name == "linear":
        return Grid(most, float(most), _float, _floor, keeps=not signed)
    if name == "sqrt":
        return Grid(most, float(most**2), _square, _root, keeps=not signed)
    # 16 octaves in 8 bits, 4 or 8 of them in 4.
    fraction = {8: 4, 7: 3, 4: 1, 3: 1}[bits - signed]
    # The first of few steps is too large for all that is below it to go there.
    return _dynamic(most, fraction, keeps=not signed or bits == 8)  # noqa: PLR2004


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

    def below(y: jax.Array) -> jax.Array:
        large = (bits_of(y, jnp.int32) >> shift) - lowest
        return jnp.where(y < ones, _floor(y), large)

    octaves = (most >> fraction) - 1
    top = float((ones + (most & (ones - 1))) << octaves)
    return Grid(most, top, size, below, keeps)
