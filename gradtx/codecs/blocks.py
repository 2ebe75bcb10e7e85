"""Blocks: the boxes into which an array is cut, each with a scale of its own.

A block is a box and not a piece of the flattened array, so that every device encodes
its own shard of a sharded array.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.codecs.dither import bits_of, noise
from gradtx.codecs.value import Format

# How many numbers XLA compares at once on a CPU.
_AT_ONCE = 32


class Boxes(NamedTuple):
    """How an array is cut.

    Args:
      shape: the shape of the array.
      sides: the length of a box along each axis.
    """

    shape: tuple[int, ...]
    sides: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of boxes along each axis."""
        return tuple(-(-n // s) for n, s in zip(self.shape, self.sides, strict=True))

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes inside of a box, of an array that is split."""
        return tuple(range(1, 2 * len(self.shape), 2))

    @property
    def parted(self) -> tuple[int, ...]:
        """The shape of an array that is split."""
        return tuple(
            n for pair in zip(self.counts, self.sides, strict=True) for n in pair
        )

    def split(self, x: jax.Array) -> jax.Array:
        """Split every axis into one over the boxes and one inside a box."""
        full = [c * s for c, s in zip(self.counts, self.sides, strict=True)]
        if tuple(full) != self.shape:
            x = jnp.pad(x, [(0, f - n) for f, n in zip(full, self.shape, strict=True)])
        return x.reshape(self.parted)

    def join(self, z: jax.Array) -> jax.Array:
        """Undo :meth:`split`."""
        full = [c * s for c, s in zip(self.counts, self.sides, strict=True)]
        x = z.reshape(full)
        whole = tuple(full) == self.shape
        return x if whole else x[tuple(slice(n) for n in self.shape)]

    def over(self, scales: jax.Array) -> jax.Array:
        """Return the number of each box at every entry of the box.

        In the array's own shape, so that a compiler fuses it with what is done to the
        array.
        """
        apart = scales.reshape([n for c in self.counts for n in (c, 1)])
        return self.join(jnp.broadcast_to(apart, self.parted))


def boxes(shape: tuple[int, ...], block: int | None) -> Boxes:
    """Cut an array into boxes of ``block`` entries, or of up to twice as many.

    A box extends along the last axis, and where that is short, along the axes before
    it. So there is at most one scale for ``block`` entries, plus those of the
    remainders.

    Args:
      shape: the shape of the array.
      block: the least size of a box; None for boxes that are the rows.
    """
    if block is None:
        return Boxes(shape, (*(1 for _ in shape[:-1]), max(shape[-1], 1)))
    sides: list[int] = []
    for n in reversed(shape):
        side = _side(n, block)
        sides.append(side)
        block = -(-block // side)
    return Boxes(shape, tuple(reversed(sides)))


def _side(n: int, wanted: int) -> int:
    """Return the length of the boxes along an axis of length n."""
    count = max(n // wanted, 1)
    exact = [s for s in range(wanted, 2 * wanted) if n % s == 0]
    return max(exact[0] if exact and count > 1 else -(-n // count), 1)


class Entries(NamedTuple):
    """How each entry is encoded, given the scale of its box.

    Args:
      block: the least size of a box, as :func:`boxes` takes it.
      size: from entries to the non-negative numbers whose maximum is the scale.
      code: from entries, inverse scales and random bits (None: round to nearest) to
        codes.
      number: from codes and scales to entries.
      random: whether rounding is stochastic.
    """

    block: int | None
    size: Callable[[jax.Array], jax.Array]
    code: Callable[[jax.Array, jax.Array, jax.Array | None], jax.Array]
    number: Callable[[jax.Array, jax.Array], jax.Array]
    random: bool


def blockwise(
    entries: Entries, *, unsigned: bool = False, stalls: str | None = None
) -> Format:
    """Return the format in which every box of an array has a scale."""

    def measure(x: jax.Array) -> jax.Array:
        return largest_of(entries.size(x), boxes(x.shape, entries.block))

    def pack(
        x: jax.Array, scales: jax.Array, seed: jax.Array, salt: jax.Array
    ) -> jax.Array:
        inverses = boxes(x.shape, entries.block).over(inverse(scales))
        bits = noise(x.shape, seed, salt) if entries.random else None
        return entries.code(x, inverses, bits)

    def unpack(
        codes: jax.Array, scales: jax.Array, shape: tuple[int, ...]
    ) -> jax.Array:
        return entries.number(codes, boxes(shape, entries.block).over(scales))

    return Format(pack, unpack, measure, unsigned, stalls, entries)


def inverse(scales: jax.Array) -> jax.Array:
    """Return the inverse of every scale; the largest entry becomes 1 to rounding."""
    return (1 + 2.0**-22) / jnp.where(scales == 0, 1, scales)


def largest_of(sizes: jax.Array, cut: Boxes) -> jax.Array:
    """Return the maximum of every box, of a non-negative array.

    NaN if the box holds one. Non-negative floats have the same order as their bits, and
    XLA fuses an integer maximum with what computes its input, where it would
    materialize floats first.
    """
    bits = bits_of(cut.split(sizes), jnp.int32)
    largest = jax.lax.platform_dependent(
        bits,
        cpu=partial(_largest_in_steps, axes=cut.axes),
        default=lambda x: jnp.max(x, axis=cut.axes, initial=0),
    )
    return bits_of(largest, jnp.float32)


def _largest_in_steps(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Take the maximum in two steps; XLA would do so too, but materialize the first."""
    for axis in axes:
        n = x.shape[axis]
        if n > _AT_ONCE and n % _AT_ONCE == 0:
            cut = (*x.shape[:axis], -1, _AT_ONCE, *x.shape[axis + 1 :])
            x = jnp.max(x.reshape(cut), axis=axis + 1, initial=0)
            x = jax.lax.optimization_barrier(x)
        x = jnp.max(x, axis=axis, keepdims=True, initial=0)
    return jnp.squeeze(x, axes)
