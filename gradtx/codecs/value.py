"""A codec: a pair of functions that remembers how it was made."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple, ParamSpec, Self

import jax
import jax.numpy as jnp

from gradtx.codecs.encoded import Encoded
from gradtx.codecs.sharding import placed
from gradtx.common import checks, spec, value_pytree
from gradtx.common.types import Count

P = ParamSpec("P")


class Format(NamedTuple):
    """The working parts of a codec.

    Args:
      pack: from float32 entries, scales, a seed and a salt to codes.
      unpack: from codes, scales and the shape to float32 entries.
      measure: from float32 entries to scales; None where there are no blocks.
      unsigned: whether negative entries are lost.
      stalls: why an EMA with a decay of 0.999 would stall in this format; None where it
        does not.
      entries: how one entry is encoded given its scale (a
        :class:`gradtx.codecs.blocks.Entries`); None where entries share bytes.

    Example:
      >>> gradtx.codecs.Format(lambda x, *_: x, lambda codes, *_: codes).unsigned
      False
    """

    pack: Callable[..., jax.Array]
    unpack: Callable[..., jax.Array]
    measure: Callable[[jax.Array], jax.Array] | None = None
    unsigned: bool = False
    stalls: str | None = None
    entries: Any = None
    without_sign: Callable[[], Any] | None = None


class Codec(spec.Value):
    """A pair of pure functions that quantize an array and read it back.

        encoded = codec.encode(x, seed)
        x̃       = codec.decode(encoded)

    It prints as it was written, equals what was made alike, hashes and pickles. No
    gradient goes through what is encoded.

    Args:
      recipe: the factory, which makes a :class:`Format`, and its arguments by name.

    Example:
      >>> codec = gradtx.codecs.int8()
      >>> (
      ...     isinstance(codec, gradtx.codecs.Codec),
      ...     codec.decode(codec.encode(jnp.ones(2), 0)).shape,
      ... )
      (True, (2,))
    """

    def __init__(self, recipe: spec.Recipe) -> None:
        self.recipe = recipe

    @classmethod
    def from_recipe(cls, recipe: spec.Recipe) -> Self:
        """Make the codec that ``recipe`` describes, when it is first used."""
        return cls(recipe)

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Asked for at every call of a jitted function, for every array of the state.
        return hash(self.recipe)

    @property
    def format(self) -> Format:
        """The working parts."""
        recipe: Any = self.recipe
        return recipe.product

    @cached_property
    def unsigned(self) -> "Codec":
        """This codec for what is never negative: it spends no bit on the sign."""
        make = self.format.without_sign
        return self if make is None else make()

    def scales_of(self, x: jax.Array) -> jax.Array | None:
        """Return the scales of an array's blocks; None where there are none."""
        return _measured(self, x)

    def encode(
        self,
        x: jax.Array,
        seed: Count = 0,
        salt: Count = 0,
        scales: jax.Array | None = None,
    ) -> Encoded:
        """Return the quantized array.

        Args:
          x: an array of real floats. A non-finite entry makes its whole block
            non-finite.
          seed: the seed of stochastic rounding: an integer, a different one for every
            rounding.
          salt: another integer, different for arrays that share a seed.
          scales: :meth:`scales_of` the array, where they are known.

        Raises:
          ValueError: if the array is not one of real floats.
        """
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise checks.InvalidArgument(f"only real floats are encoded, not {x.dtype}")
        scales = self.scales_of(x) if scales is None else scales
        codes = _packed(self, x, scales, seed, salt)
        return Encoded(codes, scales, self, x.shape, x.dtype)

    def decode(self, encoded: Encoded) -> jax.Array:
        """Return the array in its dtype, up to the error that the codec states."""
        read = partial(_unpacked, self, encoded.shape, encoded.dtype)
        # A stack of them, as vmap makes, knows the shape of one.
        for _ in range(encoded.codes.ndim - max(len(encoded.shape), 1)):
            read = jax.vmap(read)
        return read(encoded.codes, encoded.scales)


value_pytree.register(Codec)


def codec(make: Callable[P, Format]) -> Callable[P, Codec]:
    """Make a factory's codecs values; use it as a decorator on what makes a Format.

    Args:
      make: a function that returns a :class:`Format`.

    Example:
      >>> @gradtx.codecs.codec
      ... def short():
      ...     return gradtx.codecs.int8(rounding="nearest").format
      >>> print(short())
      short()
    """
    return spec.remembered(make, Codec)


# Compiled apart, so that a loop that is not jitted compiles them once.
@partial(jax.jit, static_argnums=0)
def _measured(codec: Codec, x: jax.Array) -> jax.Array | None:
    measure = codec.format.measure
    return None if measure is None else placed(lambda x: measure(_plain(x)), x)


@partial(jax.jit, static_argnums=0)
def _packed(
    codec: Codec, x: jax.Array, scales: jax.Array | None, seed: Count, salt: Count
) -> jax.Array:
    def pack(x: jax.Array, *rest: Any) -> jax.Array:
        return codec.format.pack(_plain(x), *rest)

    seeds = (jnp.asarray(s).astype(jnp.uint32) for s in (seed, salt))
    return placed(pack, x, scales, *seeds)


def _plain(x: jax.Array) -> jax.Array:
    return jnp.atleast_1d(jax.lax.stop_gradient(x).astype(jnp.float32))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _unpacked(
    codec: Codec, shape: tuple[int, ...], dtype: Any, codes: Any, scales: Any
) -> jax.Array:
    def unpack(codes: jax.Array, scales: Any) -> jax.Array:
        x = codec.format.unpack(codes, scales, shape or (1,))
        return x.reshape(shape).astype(dtype) if not shape else x.astype(dtype)

    return placed(unpack, codes, scales)
