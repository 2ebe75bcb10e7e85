"""One kernel for a step whose state is in few bits: all is read once, written once."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from gradtx.codecs import Codec, Encoded
from gradtx.codecs.blocks import Entries, boxes, inverse
from gradtx.codecs.dither import bits_of, noise
from gradtx.kernels.entrywise import Piece, Values, Var
from gradtx.typing import Count

TILE = 2048  # numbers that are made at once, where so many whole rows are
LONGEST = 8192  # numbers in a row, which is never cut
MANY = 2**31  # numbers of an array are too many
WARP = 32  # threads
EACH = 8  # numbers for a thread, so that codes of a byte are read by the eight


class Coding(NamedTuple):
    """What of a piece is in few bits, and what takes whose place.

    Args:
      old: the arrays among what enters that are read from codes.
      new: the codecs of the results that leave as codes, each with a salt, which tells
        it apart where numbers are rounded at random.
      replaced: by result, the array that it is the next value of, whose memory it may
        take. It must depend on that array entry by entry.
      seed: what numbers are rounded by.
    """

    old: dict[Var, Encoded]
    new: dict[Var, tuple[Codec, int]]
    replaced: dict[Var, Var]
    seed: Count


def run_coded(
    piece: Piece, coding: Coding, values: Values, *, interpret: bool = False
) -> dict[Var, Any] | None:
    """Make the results of a piece, in few bits those that shall be, in one kernel.

    Every array is read once and written once: its blocks are decoded, computed with and
    encoded without leaving the processor.

    Args:
      piece: what is to be made.
      coding: what of it is in few bits.
      values: the values of what enters, but for what is decoded.
      interpret: whether the kernel is only imitated, on whatever device.

    Returns:
      An array or a :class:`gradtx.codecs.Encoded` for each result; None where it cannot
      be done: the blocks must be pieces of rows, of one length that is a power of 2,
      and what enters floats, and numbers of 32 bits.
    """
    row = _row(piece, coding)
    if row is None or not _fits(piece):
        return None
    rows = prod(piece.shape) // row
    # As many whole rows as there are in every tile of one size.
    tile = (min(rows & -rows, max(TILE // row, 1)), row)
    inputs, places = _inputs(piece, coding, values, (rows, row))
    outputs, replaced = _outputs(piece, coding, (rows, row))
    made = pl.pallas_call(
        partial(_kernel, piece, coding, tile),
        grid=(rows // tile[0],),
        in_specs=[_spec(x, tile) for x in inputs],
        out_specs=[_spec(x, tile) for x in outputs],
        out_shape=outputs,
        input_output_aliases={
            places[of]: i for i, of in enumerate(replaced) if of in places
        },
        name="coded_step",
        interpret=interpret,
        compiler_params=triton.CompilerParams(
            num_warps=max(1, min(prod(tile) // (WARP * EACH), 8))
        ),
    )(*inputs)
    arrays = iter(made)
    return {v: _result(v, coding, arrays) for v in piece.results}


# --- what goes in and out ----------------------------------------------------

# An array in few bits is two: its codes, and its scales.
_CODES, _SCALES = "codes", "scales"


def _inputs(
    piece: Piece, coding: Coding, values: Values, flat: tuple[int, int]
) -> tuple[list[jax.Array], dict[Any, int]]:
    """Return what the kernel is given, and where in it the arrays are."""
    seed = jnp.asarray(coding.seed).astype(jnp.uint32)
    inputs = [jnp.reshape(x, 1) for x in (seed, *(values[v] for v in piece.scalars))]
    places: dict[Any, int] = {}
    for v in piece.arrays:
        old = coding.old.get(v)
        places[v, _CODES] = len(inputs)
        inputs.append((values[v] if old is None else old.codes).reshape(flat))
        if old is not None:
            places[v, _SCALES] = len(inputs)
            inputs.append(old.scales.reshape(flat[0]))
    return inputs, places


def _outputs(
    piece: Piece, coding: Coding, flat: tuple[int, int]
) -> tuple[list[jax.ShapeDtypeStruct], list[Any]]:
    """Return what the kernel makes, and of each array what it replaces."""
    outputs, replaced = [], []
    for v in piece.results:
        old, (codec, _) = coding.replaced.get(v), coding.new.get(v, (None, 0))
        outputs.append(jax.ShapeDtypeStruct(flat, _kind(v, codec)))
        replaced.append((old, _CODES))
        if codec is not None:
            outputs.append(jax.ShapeDtypeStruct(flat[:1], jnp.float32))
            replaced.append((old, _SCALES))
    return outputs, replaced


def _kind(result: Var, codec: Codec | None) -> Any:
    if codec is None:
        return result.aval.dtype
    one = jax.ShapeDtypeStruct((1,), result.aval.dtype)
    return jax.eval_shape(codec.encode, one).codes.dtype


def _spec(x: Any, tile: tuple[int, int]) -> pl.BlockSpec:
    if x.shape == (1,):
        return pl.BlockSpec((1,), lambda _: (0,))
    if x.ndim == 1:
        return pl.BlockSpec(tile[:1], lambda i: (i,))
    return pl.BlockSpec(tile, lambda i: (i, 0))


def _result(result: Var, coding: Coding, arrays: Iterator[jax.Array]) -> Any:
    shape, dtype = result.aval.shape, result.aval.dtype
    codes = next(arrays).reshape(shape)
    if result not in coding.new:
        return codes
    codec = coding.new[result][0]
    counts = boxes(shape, codec.format.entries.block).counts
    return Encoded(codes, next(arrays).reshape(counts), codec, shape, dtype)


# --- the kernel --------------------------------------------------------------


def _kernel(piece: Piece, coding: Coding, tile: tuple[int, int], *refs: Any) -> None:
    """Make one tile of all results."""
    ahead = iter(refs)
    seed, *scalars = [next(ahead)[0] for _ in range(1 + len(piece.scalars))]
    values = dict(zip(piece.scalars, scalars, strict=True))
    values |= {v: _loaded(coding.old.get(v), ahead) for v in piece.arrays}
    first = pl.program_id(0).astype(jnp.uint32) * jnp.uint32(prod(tile))
    for v, x in zip(piece.results, piece.run(values, tile), strict=True):
        if v not in coding.new:
            next(ahead)[...] = x
            continue
        codec, salt = coding.new[v]
        entries: Entries = codec.format.entries
        plain = x.astype(jnp.float32)
        scales = _largest(entries.size(plain))
        bits = noise(tile, seed, jnp.uint32(salt), first) if entries.random else None
        next(ahead)[...] = entries.code(plain, inverse(scales)[:, None], bits)
        next(ahead)[...] = scales


def _loaded(old: Encoded | None, refs: Iterator[Any]) -> jax.Array:
    array = next(refs)[...]
    if old is None:
        return array
    scales = next(refs)[...][:, None]
    return old.codec.format.entries.number(array, scales).astype(old.dtype)


def _largest(sizes: jax.Array) -> jax.Array:
    """Return the largest of every row: NaN where there is one, as their bits say."""
    return bits_of(jnp.max(bits_of(sizes, jnp.int32), axis=1), jnp.float32)


# --- what can be done --------------------------------------------------------


def _row(piece: Piece, coding: Coding) -> int | None:
    """Return the length of the blocks; None if they are not all alike, or not rows."""
    codecs = [x.codec for v, x in coding.old.items() if v in piece.arrays]
    codecs += [codec for v, (codec, _) in coding.new.items() if v in piece.results]
    lengths = {_length(codec, piece.shape) for codec in codecs}
    return lengths.pop() if len(lengths) == 1 else None


def _length(codec: Codec, shape: tuple[int, ...]) -> int | None:
    if codec.format.entries is None:
        return None
    *before, last = boxes(shape, codec.format.entries.block).sides
    fits = shape[-1] % last == 0 and last & (last - 1) == 0 and last <= LONGEST
    return last if fits and all(side == 1 for side in before) else None


def _fits(piece: Piece) -> bool:
    """Whether a kernel can load what enters, and count the places in 31 bits."""
    words = (
        v.aval.dtype in (jnp.float32, jnp.int32, jnp.uint32) for v in piece.scalars
    )
    floats = (jnp.issubdtype(v.aval.dtype, jnp.floating) for v in piece.arrays)
    return all(words) and all(floats) and prod(piece.shape) < MANY
