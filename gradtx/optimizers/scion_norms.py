"""The norms of Scion, and where a gradient is largest on their balls."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.directions import sign
from gradtx.common.numerics import safe_divide, sqrt, square
from gradtx.common.types import AxisName
from gradtx.linalg import axes
from gradtx.linalg.leaf_stacks import in_stacks
from gradtx.optimizers.orthogonal import Iteration
from gradtx.primitives.shape import MuonDimensionNumbers, factors_of

NORMS = (
    "auto",
    "spectral",
    "spectral_conv",
    "sign",
    "col_norm",
    "row_norm",
    "bias_rms",
)
EPS = 1e-8  # of the norms that are divided by, as in the authors' program
MATRIX = 2  # axes


class Oracle:
    """The linear minimization oracle of a norm, but for its sign and radius."""

    def __init__(
        self, norm: str, normalized: bool | None, *, at_least_one: bool
    ) -> None:
        self.norm, self.at_least_one = norm, at_least_one
        given = normalized is not None
        self.normalized = normalized if given else norm != "col_norm"

    def __call__(
        self,
        means: list[tuple[Any, Any]],
        numbers: list[Any],
        iteration: Iteration,
        split: AxisName = None,
    ) -> list[Any]:
        """Return what the oracle says of every leaf."""
        norms = [
            None if x is None or x.size == 0 else self._of(which, x.ndim)
            for (_, x), which in zip(means, numbers, strict=True)
        ]
        spectral = [
            (path, x if norm in ("spectral", "spectral_conv") else None)
            for (path, x), norm in zip(means, norms, strict=True)
        ]
        orthogonal = in_stacks(spectral, numbers, iteration, split=split)
        rows = zip(means, orthogonal, norms, numbers, strict=True)
        return [
            x if norm is None else self._one(path, x if u is None else u, norm, which)
            for (path, x), u, norm, which in rows
        ]

    def _of(self, numbers: Any, ndim: int) -> str:
        if numbers is None and (ndim < MATRIX or self.norm == "auto"):
            return "bias_rms"
        if self.norm != "auto":
            return self.norm
        return "spectral_conv" if _window(numbers) else "spectral"

    def _one(self, path: Any, x: jax.Array, norm: str, numbers: Any) -> jax.Array:
        if norm == "bias_rms":
            return _divided(x, tuple(range(x.ndim)), mean=True)
        numbers = _of_shorter_input(x) if numbers is None else numbers
        if norm in ("col_norm", "row_norm"):
            return self._by_norm(path, x, norm, numbers)
        factor = factors_of(x.shape, numbers, path, self._factor(norm, x, numbers))
        return factor * (sign(x) if norm == "sign" else x)

    def _factor(
        self, norm: str, x: jax.Array, numbers: Any
    ) -> Callable[[int, int], float]:
        if norm == "sign":
            return lambda rows, _: 1 / rows if self.normalized else 1.0
        window = math.prod(x.shape[i] for i in _window(numbers))
        if norm == "spectral_conv":
            return lambda rows, out: math.sqrt(out * window / rows) / window

        def spectral(rows: int, out: int) -> float:
            factor = math.sqrt(out / rows if self.normalized else out)
            return max(1.0, factor) if self.at_least_one else factor

        return spectral

    def _by_norm(self, path: Any, x: jax.Array, norm: str, numbers: Any) -> jax.Array:
        _, rows, _ = axes.matrix_shape(x.shape, numbers, path)
        if norm == "row_norm":
            factor = math.sqrt(rows) if self.normalized else 1.0
            inputs = axes.reduction_axes(x.shape, numbers, path)
            return _divided(x, inputs, factor)
        factor = rows if self.normalized else 1.0
        return _divided(x, axes.output_axes(x.shape, numbers, path), factor, mean=True)


def _divided(
    x: jax.Array, over: tuple[int, ...], factor: float = 1.0, *, mean: bool = False
) -> jax.Array:
    """Return x / (factor ‖x‖ + ε), or with the root mean square for the norm."""
    top = jnp.max(jnp.abs(jax.lax.stop_gradient(x)))
    top = jnp.where((top > 0) & (top < jnp.inf), top, 1)  # so that no square overflows
    squares = jnp.sum(square(x / top), axis=over, keepdims=True)
    if mean:
        squares = squares / math.prod(x.shape[i] for i in over)
    return safe_divide(x / top, factor * sqrt(squares) + EPS / top)


def _window(numbers: Any) -> tuple[int, ...]:
    window = getattr(numbers, "window_axis", ())
    return (window,) if isinstance(window, int) else tuple(window)


def _of_shorter_input(x: jax.Array) -> MuonDimensionNumbers:
    rows, columns = x.shape[-2:]
    return (
        MuonDimensionNumbers(-1, -2) if rows > columns else MuonDimensionNumbers(-2, -1)
    )
