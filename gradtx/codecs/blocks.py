"""Blocks: the boxes that an array is cut into, each with a scale of its own.

A block is a box and not a piece of the flattened array, so that an array which is
spread over devices is encoded where it lies.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


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
        """Part every axis into one over the boxes and one inside of a box."""
        full = [c * s for c, s in zip(self.counts, self.sides, strict=True)]
        if tuple(full) != self.shape:
            x = jnp.pad(x, [(0, f - n) for f, n in zip(full, self.shape, strict=True)])
        return x.reshape(self.parted)

    def join(self, z: jax.Array) -> jax.Array:
        """Undo :meth:`split`, also for an array that is shorter inside of the boxes."""
        inner = z.shape[1::2]
        x = z.reshape([c * s for c, s in zip(self.counts, inner, strict=True)])
        kept = [
            n if s == side else x.shape[i]
            for i, (n, s, side) in enumerate(
                zip(self.shape, inner, self.sides, strict=True)
            )
        ]
        whole = tuple(kept) == x.shape
        return x if whole else x[tuple(slice(n) for n in kept)]

    def over(self, scales: jax.Array) -> jax.Array:
        """Return one number for each box so that it meets an array that is split."""
        return scales.reshape([n for c in self.counts for n in (c, 1)])


def boxes(shape: tuple[int, ...], block: int, *, even: bool = False) -> Boxes:
    """Cut an array into boxes of ``block`` numbers, or of up to twice as many.

    A box extends along the last axis, and where that is short along those before it.
    The scales are so never more than one for ``block`` numbers, but for what is left
    over at the ends.

    Args:
      shape: the shape of the array.
      block: the least size of a box.
      even: whether the sides along the last axis must be even.
    """
    sides: list[int] = []
    for n in reversed(shape):
        side = _side(n, block, 2 if even and not sides else 1)
        sides.append(side)
        block = -(-block // side)
    return Boxes(shape, tuple(reversed(sides)))


def _side(n: int, wanted: int, step: int) -> int:
    """Return the length of the boxes along an axis of length n."""
    wanted = max(wanted, 1)
    count = max(n // wanted, 1)
    exact = [s for s in range(wanted, 2 * wanted) if n % s == 0 and s % step == 0]
    side = exact[0] if exact and count > 1 else -(-n // count)
    return max(math.ceil(side / step) * step, 1)
