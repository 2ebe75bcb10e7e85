"""How a kernel cuts arrays into tiles on each kind of device."""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from gradtx.kernels.pallas import pl, tpu, triton


class Tiling(NamedTuple):
    """Arrays as matrices whose rows are made of whole blocks, in tiles of whole rows.

    Args:
      rows: of the matrix.
      width: how long they are.
      height: how many are in a tile.
      block: how long a block is.
      number: where a single number is.
      options: what the compiler of the kernel is told.
    """

    rows: int
    width: int
    height: int
    block: int
    number: pl.BlockSpec
    options: dict[str, Any]

    @property
    def matrix(self) -> tuple[int, int]:
        """The shape of an array."""
        return self.rows, self.width

    @property
    def scales(self) -> tuple[int, int]:
        """The shape of its scales."""
        return self.rows, self.width // self.block

    def spec(self, shape: tuple[int, ...]) -> pl.BlockSpec:
        """Return which part of an array a tile has."""
        if len(shape) == 1:
            return self.number
        return pl.BlockSpec((self.height, shape[1]), lambda i: (i, 0))


# --- NVIDIA GPUs, by Triton --------------------------------------------------

_GPU_TILE = 2048  # numbers in a tile, where it has so many whole blocks
_GPU_LONGEST = 8192  # numbers in a block, which is never cut
_WARP = 32  # threads
_EACH = 8  # numbers for a thread, so that codes of a byte are read by the eight


def on_gpu(shape: tuple[int, ...], block: int) -> Tiling | None:
    """Cut an array for a GPU: a block is a row, and all lengths are powers of 2."""
    rows = prod(shape) // block
    if block & (block - 1) or block > _GPU_LONGEST:
        return None
    height = min(rows & -rows, max(_GPU_TILE // block, 1))
    warps = max(1, min(height * block // (_WARP * _EACH), 8))
    number = pl.BlockSpec((1,), lambda _: (0,))
    params = triton.CompilerParams(num_warps=warps)
    return Tiling(rows, block, height, block, number, {"compiler_params": params})


# --- TPUs, by Mosaic ---------------------------------------------------------

_TPU_TILE = 2**17  # numbers in a tile, twice in fast memory, for each array
_TPU_WIDEST = 8192  # numbers in a row, of which there are always so many in a tile:
_TPU_HEIGHT = 32  # as codes of a byte are laid out
_TPU_LONGEST = 2048  # numbers in a block
_LANES = 128  # numbers that lie side by side
_BLOCKS = 64  # in a row: what is done for each is written out


def on_tpu(shape: tuple[int, ...], block: int) -> Tiling | None:
    """Cut an array for a TPU, whose rows keep their layout in tiles."""
    rows, width = prod(shape[:-1]), shape[-1]
    whole = width == block or block % _LANES == 0
    small = width <= _TPU_WIDEST and block <= _TPU_LONGEST
    if not whole or not small or width // block > _BLOCKS:
        return None
    tiles = max(_TPU_TILE // width // _TPU_HEIGHT, 1)
    height = min(rows, tiles * _TPU_HEIGHT)
    number = pl.BlockSpec(memory_space=tpu.SMEM)
    return Tiling(rows, width, height, block, number, {})


TILINGS: dict[str, Callable[..., Tiling | None]] = {"cuda": on_gpu, "tpu": on_tpu}
