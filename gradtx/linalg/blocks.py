"""An array as a batch of blocks of few shapes: axes merged, long ones cut.

What is computed of a block then has a size that is known beforehand.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.linalg import axes
from gradtx.linalg.heads import block_columns, check_columns
from gradtx.lowering.sharding import laid_out

Dims = tuple[int, ...]
Merge = Callable[[Dims], Dims]
Back = Callable[[jax.Array], jax.Array]


class Span(NamedTuple):
    """A part of an axis: so many pieces of one length."""

    begin: int
    pieces: int
    length: int

    @property
    def end(self) -> int:
        """Where the part ends."""
        return self.begin + self.pieces * self.length


Region = tuple[Span, ...]


class Blocks:
    """How the arrays of one leaf are taken apart, and put together again.

    Args:
      shape: of the leaf.
      numbers: which axes make up matrices, the others being batches, as
        :class:`gradtx.MuonDimensionNumbers`; None takes the whole leaf for one tensor.
        What :class:`gradtx.MatrixAxes` says to lie side by side is cut apart.
      path: of the leaf, for errors.
      merge: from the axes of the tensor to fewer of the same product in order.
      limit: the length above which an axis is cut; the last piece may be shorter.
      elementwise: whether the leaf is left as it is, one block that has no axes to be
        treated as those of a matrix.
      left: whether other leaves have dimension numbers and this one has none; kept for
        the method to ask.
    """

    def __init__(
        self,
        shape: Dims,
        numbers: Any = None,
        path: Any = (),
        *,
        merge: Merge | None = None,
        limit: int | None = None,
        elementwise: bool = False,
        left: bool = False,
    ) -> None:
        self.shape, self.numbers, self.path = tuple(shape), numbers, path
        self.left = left
        self.elementwise = elementwise or 0 in self.shape
        self.batch, *dims = (
            (1, *shape) if numbers is None else axes.matrix_shape(shape, numbers, path)
        )
        self.dims: Dims = tuple(dims)
        if merge is not None and not self.elementwise:
            self.dims = merge(self.dims)
        cut = None if self.elementwise else limit
        self._parts = [_spans([d], cut) for d in self.dims]
        if numbers is not None and not self.elementwise:
            columns = axes.matrix_shape(shape, numbers, path)[2]
            check_columns(columns, numbers, path)
            apart = block_columns(columns, numbers)
            if len(apart) > 1:
                self._parts[-1] = _spans(apart, cut)
        self.regions: list[Region] = list(product(*self._parts))

    def sizes(self, region: Region) -> tuple[int, Dims]:
        """Return how many blocks a region has, and their shape."""
        count = self.batch * math.prod(span.pieces for span in region)
        return count, tuple(span.length for span in region)

    def unfold(self, x: jax.Array, *, whole: bool = True) -> tuple[jax.Array, Back]:
        """Return a leaf as a batch of tensors, and the function that undoes it.

        Args:
          x: the leaf.
          whole: whether every device is to hold all of it, on a mesh that is part of
            the array's type. Otherwise it stays as it lies where it is not cut.
        """
        if self.elementwise:
            return x[None], lambda y: y[0]
        flat = (self.batch, *self.dims)
        if not whole and len(self.regions) == 1 and self._is_one_piece(flat):
            return self._as_it_lies(x)
        if self.numbers is None:
            copies, undo = axes.on_every_device(x)
            return copies.reshape(flat), lambda y: undo(y.reshape(self.shape))
        matrices, back = axes.as_matrices(x, self.numbers, self.path)
        return matrices.reshape(flat), lambda y: back(y.reshape(matrices.shape))

    def _is_one_piece(self, flat: Dims) -> bool:
        """Whether no axis is cut, and none merged but as dimension numbers say."""
        if any(span.pieces > 1 for span in self.regions[0]):
            return False
        if self.numbers is None:
            return flat == (1, *self.shape)
        return flat == axes.matrix_shape(self.shape, self.numbers, self.path)

    def _as_it_lies(self, x: jax.Array) -> tuple[jax.Array, Back]:
        if self.numbers is None:
            spec = jax.typeof(x).sharding.spec
            return x[None], lambda y: laid_out(y[0], spec)
        return axes.as_matrices(x, self.numbers, self.path, whole=False)

    def cut(self, x: jax.Array) -> list[jax.Array]:
        """Return the blocks of a batch of tensors, an array (n, ...) a region."""
        return [self._cut_out(x, region) for region in self.regions]

    def _cut_out(self, x: jax.Array, region: Region) -> jax.Array:
        if all(span.pieces == 1 for span in region) and len(self.regions) == 1:
            return x
        k = len(region)
        part = x[:, *(slice(span.begin, span.end) for span in region)]
        pairs = [n for span in region for n in (span.pieces, span.length)]
        part = part.reshape(self.batch, *pairs)
        order = [0, *range(1, 2 * k, 2), *range(2, 2 * k + 1, 2)]
        count, block = self.sizes(region)
        return part.transpose(order).reshape(count, *block)

    def join(self, blocks: Sequence[jax.Array]) -> jax.Array:
        """Return the batch of tensors that :meth:`cut` gave these blocks of."""
        parts = [
            self._put_back(x, region)
            for x, region in zip(blocks, self.regions, strict=True)
        ]
        # The regions vary fastest along the last axis.
        for i in reversed(range(len(self.dims))):
            many = len(self._parts[i])
            parts = [
                parts[j]
                if many == 1
                else jnp.concatenate(parts[j : j + many], axis=i + 1)
                for j in range(0, len(parts), many)
            ]
        return parts[0]

    def _put_back(self, x: jax.Array, region: Region) -> jax.Array:
        if all(span.pieces == 1 for span in region):
            return x
        k = len(region)
        pieces = [span.pieces for span in region]
        x = x.reshape(self.batch, *pieces, *(span.length for span in region))
        order = [0, *(j for i in range(1, k + 1) for j in (i, k + i))]
        sizes = [span.pieces * span.length for span in region]
        return x.transpose(order).reshape(self.batch, *sizes)


def _spans(lengths: Sequence[int], limit: int | None) -> list[Span]:
    """Return the pieces of parts side by side, neighbours of one length together."""
    spans: list[Span] = []
    begin = 0
    for length in lengths:
        size = max(1, length if limit is None else min(length, limit))
        whole, rest = divmod(length, size)
        for pieces, piece in ((whole, size), (1, rest)):
            if spans and spans[-1].length == piece:
                more = spans[-1].pieces + pieces
                spans[-1] = spans[-1]._replace(pieces=more)
            elif pieces * piece:
                spans.append(Span(begin, pieces, piece))
            begin += pieces * piece
    return spans or [Span(0, 1, 0)]


def merged_forwards(dims: Dims, limit: int) -> Dims:
    """Merge axes from the first on, while their product is at most ``limit``."""
    done: list[int] = []
    size = 1
    for d in dims:
        if size * d <= limit:
            size *= d
        elif size > 1:
            done.append(size)
            size = d
        else:
            done.append(d)
    return (*done, size) if size > 1 or not done else tuple(done)


def merged_backwards(dims: Dims, limit: int, target: int | None) -> Dims:
    """Drop axes of length 1, and merge from the last on, down to ``target`` axes.

    Args:
      dims: the lengths of the axes.
      limit: what the product of merged axes is at most.
      target: how many axes to leave at least; None merges none.
    """
    done = [d for d in dims if d != 1] or [1]
    i = len(done) - 1
    while target is not None and i > 0 and len(done) > target:
        if done[i - 1] * done[i] <= limit:
            done[i - 1 : i + 1] = [done[i - 1] * done[i]]
        i -= 1
    return tuple(done)
