"""Floats of 16 and 8 bits."""

import jax
import jax.numpy as jnp

from gradtx.codecs.blocks import Entries, blockwise
from gradtx.codecs.dither import noise, rounded
from gradtx.codecs.integers import checked
from gradtx.codecs.value import Format, codec
from gradtx.common import checks

_KINDS = {"e4m3": jnp.float8_e4m3fn, "e5m2": jnp.float8_e5m2}
_STALLS = (
    "its steps are larger than those of the mean, which nearest rounding undoes: give "
    'rounding="stochastic"'
)


@codec
def bfloat16(rounding: str = "stochastic") -> Format:
    """Keep the first 16 bits of a float32.

        |x̃ - x| ≤ 2⁻⁷ |x|              for normal numbers; half of it when nearest

    Stochastic rounding takes the neighbour below or above at random so that E[x̃] = x,
    to 2⁻¹⁶ of their distance.

    Args:
      rounding: "stochastic" or "nearest".

    Raises:
      ValueError: for another rounding.

    Example:
      >>> codec = gradtx.codecs.bfloat16(rounding="nearest")
      >>> print(codec.decode(codec.encode(jnp.array([0.5, -1.0]), 0)).round(1))
      [ 0.5 -1. ]
    """
    checked(1, rounding)

    def pack(x: jax.Array, scales: None, seed: jax.Array, salt: jax.Array) -> jax.Array:
        del scales
        if rounding == "nearest":
            return x.astype(jnp.bfloat16)
        x = rounded(x, jnp.bfloat16, noise(x.shape, seed, salt))
        return x.astype(jnp.bfloat16)

    def unpack(codes: jax.Array, scales: None, shape: tuple[int, ...]) -> jax.Array:
        del scales, shape
        return codes.astype(jnp.float32)

    stalls = _STALLS if rounding == "nearest" else None
    return Format(pack, unpack, stalls=stalls)


@codec
def float8(
    kind: str = "e4m3", block: int | None = 256, rounding: str = "stochastic"
) -> Format:
    """Keep a float of 8 bits for each number and a float32 for each block.

        s = max |x| over the block,    x̃ = s · f / F
        |x̃ - x| ≤ max(|x| / 2ᵐ, s · a / F)                half of it when nearest

    f is a float8 number, m its mantissa bits, F the largest and a the least: of the
    kind e4m3 m = 3, F = 448, a = 2⁻⁹; of e5m2 m = 2, F = 57344, a = 2⁻¹⁶. The largest
    of a block, and 0, are kept exactly, and nothing but 0 becomes 0.

    Args:
      kind: "e4m3" or "e5m2": the bits of exponent and mantissa.
      block: the least number of numbers that share a scale, or None for rows, as of
        :func:`gradtx.codecs.int8`.
      rounding: "stochastic" or "nearest".

    Raises:
      ValueError: if ``block`` is not a whole number of at least 1, or for another kind
        or rounding.

    Reference: Micikevicius et al., 2022, https://arxiv.org/abs/2209.05433

    Example:
      >>> codec = gradtx.codecs.float8(rounding="nearest")
      >>> print(codec.decode(codec.encode(jnp.array([0.5, -1.0]), 0)).round(1))
      [ 0.5 -1. ]
    """
    if kind not in _KINDS:
        raise checks.InvalidArgument(
            f"kind must be one of {', '.join(_KINDS)}, got {kind!r}"
        )
    checked(block, rounding)
    dtype = _KINDS[kind]
    info = jnp.finfo(dtype)
    top, least = float(info.max), float(info.smallest_subnormal)

    def code(x: jax.Array, inverses: jax.Array, bits: jax.Array | None) -> jax.Array:
        y = x * inverses * top
        within = jnp.copysign(jnp.clip(jnp.abs(y), least, top), x)
        y = jnp.where(x == 0, 0, within)
        return (y if bits is None else rounded(y, dtype, bits)).astype(dtype)

    def number(codes: jax.Array, largest: jax.Array) -> jax.Array:
        f = codes.astype(jnp.float32)
        # Not left to the division, so that what is encoded again keeps its scale.
        return jnp.where(jnp.abs(f) == top, jnp.sign(f), f / top) * largest

    entries = Entries(block, jnp.abs, code, number, rounding == "stochastic")
    return blockwise(entries, stalls=_STALLS if rounding == "nearest" else None)
