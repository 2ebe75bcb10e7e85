"""Random bits for stochastic (unbiased) rounding, and rounding to narrower floats.

The random bits are hashes of the position in the array and of the number of the
rounding: computed where they are used, they take no memory, and a sharded array has the
same bits as one on a single device.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.types import DTypeLike

_GOLDEN = 2654435769  # so that nothing starts at 0, which is its own hash


def noise(
    shape: tuple[int, ...],
    seed: jax.Array,
    salt: jax.Array,
    *,
    within: tuple[int, ...] | None = None,
    first: jax.Array | int = 0,
) -> jax.Array:
    """Return uniform uint32 numbers, independent for all positions, seeds and salts.

    Args:
      shape: the shape.
      seed: a uint32 number, a different one for every rounding.
      salt: another number, different for arrays that share a seed.
      within: the shape of the array of which this is a tile; None: the whole array.
      first: the position of the first entry in that array.
    """
    place, stride = jnp.full(shape, first, jnp.uint32), 1
    whole = within or shape
    for axis in reversed(range(len(shape))):
        index = jax.lax.broadcasted_iota(jnp.int32, shape, axis).astype(jnp.uint32)
        place = place + index * jnp.uint32(stride % 2**32)
        stride *= whole[axis]
    return _hashed(place + _hashed(seed ^ _hashed(salt + jnp.uint32(_GOLDEN))))


def _hashed(x: jax.Array) -> jax.Array:
    """Mix the bits so that each of the 32 depends on all of them."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        x = (x ^ (x >> shift)) * jnp.uint32(factor)
    return x


def share_of(bits: jax.Array) -> jax.Array:
    """Return what :func:`noise` gives as float32 numbers in [0, 1)."""
    return (bits >> 8).astype(jnp.float32) * 2.0**-24


def bits_of(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Return the same 32 bits as another type."""
    return jax.lax.bitcast_convert_type(x, dtype)


def rounded(x: jax.Array, dtype: DTypeLike, bits: jax.Array | None = None) -> jax.Array:
    """Round float32 numbers to those that a narrower float type can hold.

    A cast there and back would do for nearest rounding, but XLA may remove it.
    Stochastic rounding takes the neighbour above or below with probabilities whose mean
    is x. Exact numbers stay; overflow is left to the cast that follows.

    Args:
      x: float32 numbers.
      dtype: a float type of 16 or 8 bits.
      bits: uniform uint32 numbers, as of :func:`noise`, to round stochastically; None
        rounds to nearest, ties to even.
    """
    x = jax.lax.stop_gradient(x)
    if jnp.dtype(dtype) == jnp.bfloat16:  # which keeps the first bits of a float32
        odd = (bits_of(x, jnp.uint32) >> 16) & 1
        return _cut(x, jnp.uint32(0x7FFF) + odd if bits is None else bits >> 16)
    steps, step = _in_steps(x, dtype)
    if bits is None:
        return jnp.round(steps) * step
    low = jnp.floor(steps)
    return (low + (steps - low > share_of(bits))) * step


def rounded_down(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Return the largest numbers that a narrower type has and that are not above ``x``.

    Args:
      x: float32 numbers.
      dtype: a float type of 16 or 8 bits.
    """
    x = jax.lax.stop_gradient(x)
    if jnp.dtype(dtype) == jnp.bfloat16:
        return _cut(x, jnp.where(x < 0, jnp.uint32(0xFFFF), jnp.uint32(0)))
    steps, step = _in_steps(x, dtype)
    return jnp.floor(steps) * step


def _in_steps(x: jax.Array, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
    """Return x in units of the distance that neighbours have there, and that."""
    info: Any = jnp.finfo(dtype)
    # By the octave, and the same in all below the least.
    octave = bits_of(x, jnp.int32) & 0x7F800000
    octave = jnp.maximum(octave, (127 + info.minexp) << 23) - (info.nmant << 23)
    # Its inverse, exactly: XLA would write out what a division gives.
    return x * bits_of((254 << 23) - octave, jnp.float32), bits_of(octave, jnp.float32)


def _cut(x: jax.Array, more: jax.Array) -> jax.Array:
    """Add up to 2¹⁶ below the last bit that a bfloat16 keeps, and cut off the rest."""
    raised = bits_of(x, jnp.uint32) + more
    cut = bits_of(raised & jnp.uint32(0xFFFF0000), jnp.float32)
    return jnp.where(jnp.isfinite(x), cut, x)
