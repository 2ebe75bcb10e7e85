"""One kernel for a step with quantized state: all is read once, written once."""

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from gradtx.codecs import Codec, Encoded
from gradtx.codecs.blocks import Entries, boxes, inverse
from gradtx.codecs.dither import bits_of, noise
from gradtx.common.types import Count
from gradtx.kernels.elementwise import Piece, Values, Var
from gradtx.kernels.pallas import pl
from gradtx.kernels.tiling import TILINGS, Tiling

MANY = 2**31  # numbers of an array are too many to count their places in 31 bits


class Coding(NamedTuple):
    """Which arrays of a piece are quantized, and which results are written in place.

    Args:
      old: the input arrays that are read from codes.
      new: the codecs of the results that are written as codes, each with a salt for
        stochastic rounding.
      replaced: for a result, the input whose next value it is and whose memory it may
        take. It must depend on that array elementwise.
      seed: the seed of stochastic rounding.
    """

    old: dict[Var, Encoded]
    new: dict[Var, tuple[Codec, int]]
    replaced: dict[Var, Var]
    seed: Count


class Kernels:
    """The kernels of one device; equal pieces share one.

    Args:
      device: ``"cuda"`` or ``"tpu"``.
      interpret: whether kernels run in Pallas interpret mode, on any device.
    """

    def __init__(self, device: str, *, interpret: bool = False) -> None:
        self._tiling = TILINGS[device]
        self._interpret = interpret
        self._calls: dict[Any, Callable[..., Any]] = {}

    def run(
        self, piece: Piece, coding: Coding, values: Values
    ) -> dict[Var, Any] | None:
        """Compute the results of a piece in one kernel, quantized where asked for.

        Every array is read once and written once: its blocks are decoded, updated and
        encoded in registers.

        Args:
          piece: what to compute.
          coding: which of its arrays are quantized.
          values: the values of the inputs, except those that are decoded.

        Returns:
          An array or a :class:`gradtx.codecs.Encoded` for each result; None where no
          kernel can do it: the blocks must be pieces of rows, all of one length that
          fits the device, and the inputs floats that are not sharded by type, or
          scalars of 32 bits.
        """
        block = _block(piece, coding)
        tiling = block and self._tiling(piece.shape, block)
        if not tiling or not _can_be_loaded(piece):
            return None
        inputs, places = _inputs(piece, coding, values, tiling)
        outputs, replaced = _outputs(piece, coding, tiling)
        shared = {
            places[of]: i
            for i, of in enumerate(replaced)
            if of in places and inputs[places[of]].dtype == outputs[i].dtype
        }
        alike = piece.signature, _codecs(piece, coding), tuple(shared.items())
        if alike not in self._calls:
            call = pl.pallas_call(
                partial(_kernel, piece, coding, tiling),
                grid=(pl.cdiv(tiling.rows, tiling.height),),
                in_specs=[tiling.spec(x.shape) for x in inputs],
                out_specs=[tiling.spec(x.shape) for x in outputs],
                out_shape=outputs,
                input_output_aliases=shared,
                name="coded_step",
                interpret=self._interpret,
                **tiling.options,
            )
            self._calls[alike] = jax.jit(call)
        arrays = iter(self._calls[alike](*inputs))
        return {v: _result(v, coding, arrays) for v in piece.results}


def _codecs(piece: Piece, coding: Coding) -> tuple[Codec | None, ...]:
    """Return the codec of every input array and of every result."""
    old = [x and x.codec for x in map(coding.old.get, piece.arrays)]
    new = [x and x[0] for x in map(coding.new.get, piece.results)]
    return (*old, *new)


# --- what goes in and out ----------------------------------------------------

# An array in few bits is two: its codes, and its scales.
_CODES, _SCALES = "codes", "scales"


def _inputs(
    piece: Piece, coding: Coding, values: Values, tiling: Tiling
) -> tuple[list[jax.Array], dict[Any, int]]:
    """Return the inputs of the kernel, and the positions of the arrays among them."""
    salts = [jnp.uint32(salt) for _, salt in _new(piece, coding)]
    numbers = [values[v] for v in piece.scalars]
    seed = jnp.asarray(coding.seed).astype(jnp.uint32)
    inputs = [jnp.reshape(x, 1) for x in (*numbers, seed, *salts)]
    places: dict[Any, int] = {}
    for v in piece.arrays:
        old = coding.old.get(v)
        places[v, _CODES] = len(inputs)
        inputs.append((values[v] if old is None else old.codes).reshape(tiling.matrix))
        if old is not None:
            places[v, _SCALES] = len(inputs)
            inputs.append(old.scales.reshape(tiling.scales))
    return inputs, places


def _new(piece: Piece, coding: Coding) -> list[tuple[Codec, int]]:
    """Return the codecs of the results that are encoded."""
    return [coding.new[v] for v in piece.results if v in coding.new]


def _outputs(
    piece: Piece, coding: Coding, tiling: Tiling
) -> tuple[list[jax.ShapeDtypeStruct], list[Any]]:
    """Return the outputs of the kernel, and for each array the input it replaces."""
    outputs, replaced = [], []
    for v in piece.results:
        old, (codec, _) = coding.replaced.get(v), coding.new.get(v, (None, 0))
        outputs.append(jax.ShapeDtypeStruct(tiling.matrix, _kind(v, codec)))
        replaced.append((old, _CODES))
        if codec is not None:
            outputs.append(jax.ShapeDtypeStruct(tiling.scales, jnp.float32))
            replaced.append((old, _SCALES))
    return outputs, replaced


def _kind(result: Var, codec: Codec | None) -> Any:
    if codec is None:
        return result.aval.dtype
    one = jax.ShapeDtypeStruct((1,), result.aval.dtype)
    return jax.eval_shape(codec.encode, one).codes.dtype


def _result(result: Var, coding: Coding, arrays: Iterator[jax.Array]) -> Any:
    shape, dtype = result.aval.shape, result.aval.dtype
    codes = next(arrays).reshape(shape)
    if result not in coding.new:
        return codes
    codec = coding.new[result][0]
    counts = boxes(shape, codec.format.entries.block).counts
    return Encoded(codes, next(arrays).reshape(counts), codec, shape, dtype)


# --- the kernel --------------------------------------------------------------


def _kernel(piece: Piece, coding: Coding, tiling: Tiling, *refs: Any) -> None:
    """Compute one tile of all results, one block of its rows after the other."""
    ahead = iter(refs)
    known = {v: next(ahead)[0] for v in piece.scalars}
    seed = next(ahead)[0]
    salts = [next(ahead)[0] for _ in _new(piece, coding)]
    arrays = list(ahead)
    above = pl.program_id(0) * (tiling.height * tiling.width)
    for i in range(tiling.width // tiling.block):
        tile = _Tile(tiling, i, iter(arrays))
        values = known | {v: _loaded(coding.old.get(v), tile) for v in piece.arrays}
        shape = tiling.height, tiling.block
        first = (above + i * tiling.block).astype(jnp.uint32)
        random = (
            partial(noise, shape, seed, salt, within=tiling.matrix, first=first)
            for salt in salts
        )
        for v, x in zip(piece.results, piece.run(values, shape), strict=True):
            if v in coding.new:
                _store_codes(x, coding.new[v][0], tile, next(random))
            else:
                ref, here = tile.numbers()
                ref[here] = x


class _Tile(NamedTuple):
    """The blocks at one position in the rows of a tile, array by array."""

    tiling: Tiling
    place: int
    refs: Iterator[Any]

    def numbers(self) -> tuple[Any, Any]:
        """Return the next array, and where in it the blocks are."""
        width = self.tiling.block
        return next(self.refs), (slice(None), pl.ds(self.place * width, width))

    def scales(self) -> tuple[Any, Any]:
        """Return the next array of scales, and where in it those of the blocks are."""
        return next(self.refs), (slice(None), pl.ds(self.place, 1))


def _loaded(old: Encoded | None, tile: _Tile) -> jax.Array:
    ref, here = tile.numbers()
    if old is None:
        return ref[here]
    scales, there = tile.scales()
    entries: Entries = old.codec.format.entries
    return entries.number(ref[here], scales[there]).astype(old.dtype)


def _store_codes(
    x: jax.Array, codec: Codec, tile: _Tile, random: Callable[[], jax.Array]
) -> None:
    entries: Entries = codec.format.entries
    plain = x.astype(jnp.float32)
    # As whole numbers, as `blocks.largest_of` compares them: NaN where there is one.
    sizes = bits_of(entries.size(plain), jnp.int32)
    largest = bits_of(jnp.max(sizes, axis=1, keepdims=True), jnp.float32)
    bits = random() if entries.random else None
    ref, here = tile.numbers()
    ref[here] = entries.code(plain, inverse(largest), bits)
    scales, there = tile.scales()
    scales[there] = largest


# --- what can be done --------------------------------------------------------


def _block(piece: Piece, coding: Coding) -> int | None:
    """Return the length of the blocks; None if they differ or cut rows."""
    codecs = filter(None, _codecs(piece, coding))
    lengths = {_length(codec, piece.shape) for codec in codecs}
    return lengths.pop() if len(lengths) == 1 else None


def _length(codec: Codec, shape: tuple[int, ...]) -> int | None:
    if codec.format.entries is None:
        return None
    *before, last = boxes(shape, codec.format.entries.block).sides
    fits = shape[-1] % last == 0 and all(side == 1 for side in before)
    return last if fits else None


def _can_be_loaded(piece: Piece) -> bool:
    """Whether a kernel can take these inputs, from one device."""
    words = jnp.float32, jnp.int32, jnp.uint32
    if prod(piece.shape) >= MANY:
        return False
    return all(v.aval.dtype in words for v in piece.scalars) and all(
        jnp.issubdtype(v.aval.dtype, jnp.floating)
        and AxisType.Explicit not in v.aval.sharding.mesh.axis_types
        for v in piece.arrays
    )
