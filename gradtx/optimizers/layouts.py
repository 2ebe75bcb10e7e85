"""What each parameter of a model is, by its path, its shape, and those beside it."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.types import Params
from gradtx.linalg.heads import MatrixAxes
from gradtx.optimizers import naming
from gradtx.tree import keys

WINDOW = 32  # the longest window of a convolution that no name tells of
MATRIX = 2  # axes


class Route(NamedTuple):
    """Where one parameter goes, and why.

    Args:
      path: its path, as "block/attention/query/kernel".
      shape: its shape.
      axes: its matrices; None if it is for the other method.
      reason: what it was taken for.
    """

    path: str
    shape: tuple[int, ...]
    axes: MatrixAxes | None
    reason: str


class Model:
    """All leaves of a model, as the paths of the ones tell about the others.

    Args:
      params: the parameters.
      leaves: their leaves with paths, None being a leaf.
    """

    def __init__(self, params: Params, leaves: list[tuple[Any, Any]]) -> None:
        self.names = [naming.names(path) for path, _ in leaves]
        self.shapes = [() if x is None else jnp.shape(x) for _, x in leaves]
        self.owners = _owners(params)
        self.beside: dict[tuple[str, ...], set[str]] = {}
        for path in self.names:
            self.beside.setdefault(tuple(path[:-2]), set()).update(path[-2:])
        self.stacks = self._stacks()
        self.vocabularies = [
            shape
            for i, shape in enumerate(self.shapes)
            if self._says(i) == "embedding" and len(shape) == MATRIX
        ]

    def route(self, i: int) -> Route:
        """Return where the leaf of that number goes."""
        path = self.names[i]
        stacked = self.is_stacked(i)
        which, reason = self._taken_for(i, self.shapes[i][stacked:])
        if stacked and which is not None:
            which, reason = _after_one_axis(which), f"{reason}, stacked"
        return Route("/".join(path), self.shapes[i], which, reason)

    def is_stacked(self, i: int) -> bool:
        """Whether the leaf's first axis counts layers."""
        path = self.names[i]
        return any(tuple(path[:k]) in self.stacks for k in range(len(path)))

    def attention(self, i: int) -> str | None:
        """Return "in" or "out" for a projection of an attention."""
        path = self.names[i]
        return naming.is_attention(path, self.beside[tuple(path[:-2])])

    def _taken_for(
        self, i: int, shape: tuple[int, ...]
    ) -> tuple[MatrixAxes | None, str]:
        said = self._says(i)
        if said:
            return None, said
        if math.prod(shape) in (0, max(shape, default=1)):
            return None, "vector" if shape else "scalar"
        which, reason = self._matrices(i, shape)
        if self._is_last_layer(i, shape):
            return None, "head: as wide as an embedding is long"
        return which, reason

    def _says(self, i: int) -> str | None:
        path, owner = self.names[i], self.owners[i]
        if path[-1:] == ["b"] and [*path[:-1], "w"] in self.names:
            return "bias"  # of Haiku
        return naming.says(path, owner) or naming.says_small(path, owner)

    def _matrices(self, i: int, shape: tuple[int, ...]) -> tuple[MatrixAxes, str]:
        path, n = self.names[i], len(shape)
        output_first = naming.is_output_first(path)
        if n == MATRIX:
            return MatrixAxes(1, 0) if output_first else MatrixAxes(), "matrix"
        if naming.is_convolution(path, self.owners[i]):
            return _convolution(n, output_first), "convolution"
        side = self.attention(i)
        if side:
            return _attention(n, side), "attention"
        window = shape[2:] if output_first else shape[:-2]
        if n > MATRIX + 1 and max(window) <= WINDOW:
            return _convolution(n, output_first), "convolution, by its shape"
        last = MatrixAxes(n - 1, n - 2) if output_first else MatrixAxes(n - 2, n - 1)
        return last, "matrices"

    def _is_last_layer(self, i: int, shape: tuple[int, ...]) -> bool:
        if len(shape) != MATRIX or shape[0] == shape[1]:
            return False
        turned = shape if naming.is_output_first(self.names[i]) else shape[::-1]
        alike = [
            j
            for j, other in enumerate(self.shapes)
            if other == shape and self._says(j) is None
        ]
        return turned in self.vocabularies and alike == [i]

    # --- layers that are stacked

    def _stacks(self) -> set[tuple[str, ...]]:
        """Return the paths below which all arrays have one more axis in front."""
        above = {tuple(path[:k]) for path in self.names for k in range(len(path))}
        return {prefix for prefix in above if self._is_stack(prefix)}

    def _is_stack(self, prefix: tuple[str, ...]) -> bool:
        below = [
            i
            for i, path in enumerate(self.names)
            if tuple(path[: len(prefix)]) == prefix
        ]
        sizes = {self.shapes[i][:1] for i in below}
        if len(sizes) != 1 or sizes == {()}:
            return False
        return any(self._has_one_axis_more(i) for i in below)

    def _has_one_axis_more(self, i: int) -> bool:
        shape, said = self.shapes[i], self._says(i)
        if naming.is_convolution(self.names[i], self.owners[i]):
            return False  # biases of Equinox's have axes of size 1
        if said == "norm":
            return len(shape) == MATRIX
        if said != "bias" or len(shape) < MATRIX:
            return False
        kernels = [
            other
            for path, other in zip(self.names, self.shapes, strict=True)
            if path[:-1] == self.names[i][:-1] and len(other) > len(shape)
        ]
        # A bias of (heads, width) is as the kernel ends.
        return all(other[-len(shape) :] != shape for other in kernels)


def _owners(params: Params) -> list[str]:
    """Return for each leaf the name of the class of what holds it."""
    found: list[str] = []

    def walk(node: Any, owner: str) -> None:
        below, _ = keys.children(node)
        is_leaf = not below and jax.tree.structure(node).num_leaves == 1
        if node is None or is_leaf:  # and no empty container
            found.append(owner)
        name = "" if isinstance(node, dict | list | tuple) else type(node).__name__
        for _, child in below:
            walk(child, name)

    walk(params, "")
    return found


def _convolution(n: int, output_first: bool) -> MatrixAxes:
    if output_first:  # (out, in, window)
        window = tuple(range(2, n))
        return MatrixAxes((*window, 1), 0, window)
    return MatrixAxes(tuple(range(n - 1)), n - 1, tuple(range(n - 2)))


def _attention(n: int, side: str) -> MatrixAxes:
    if side == "in":
        return MatrixAxes(n - 3, (n - 2, n - 1))
    return MatrixAxes((n - 3, n - 2), n - 1)


def _after_one_axis(which: MatrixAxes) -> MatrixAxes:
    def later(axis: Any) -> Any:
        return axis + 1 if isinstance(axis, int) else tuple(i + 1 for i in axis)

    return which._replace(
        reduction_axis=later(which.reduction_axis),
        output_axis=later(which.output_axis),
        window_axis=later(which.window_axis),
    )
