"""Code books: the magnitudes that a code can stand for, from 0 to ``top``.

A grid maps codes to magnitudes, and rounds magnitudes to codes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.codecs.dither import bits_of, share_of
from gradtx.common import checks

MAPS = ("linear", "sqrt", "dynamic")


class Grid(NamedTuple):
    """The magnitudes by code; the magnitude of code 1 is 1.

    Args:
      most: the largest code.
      top: its magnitude.
      size: from codes to magnitudes.
      encode: from magnitudes between 0 and ``top`` to the code of a neighbour:
        stochastic and unbiased given random bits, the nearest one if these are None.
      keeps: whether only 0 is rounded to 0.
    """

    most: int
    top: float
    size: Callable[[jax.Array], jax.Array]
    encode: Callable[[jax.Array, jax.Array | None], jax.Array]
    keeps: bool


def grid(name: str, bits: int, *, signed: bool) -> Grid:
    """Return the grid of a map with codes of so many bits; a sign takes one of them."""
    if name not in MAPS:
        raise checks.InvalidArgument(
            f"map must be one of {', '.join(MAPS)}, got {name!r}"
        )
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
    """Return how magnitudes are encoded, given the largest code that is not above."""

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
    """Return a logarithmic grid: integers with few significant bits.

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
