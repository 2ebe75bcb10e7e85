"""Kinds of numbers, and arithmetic right at zero, near overflow and in few bits."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.types import Count, DTypeLike, Scalar, ScalarOrSchedule


def is_differentiable(x: Any) -> bool:
    """Whether this is a parameter that can have a gradient, or such a gradient."""
    if isinstance(x, float | complex):
        return True
    kind = dtype_of(x)
    return kind is not None and _is_inexact(kind)


def dtype_of(x: Any) -> Any:
    """Return the type of an array; None for what is none, and for random keys."""
    if isinstance(x, type):  # NumPy's types have a type too
        return None
    kind = getattr(x, "dtype", None)
    if kind is None and hasattr(x, "__jax_array__"):
        kind = jnp.asarray(x).dtype
    return kind if isinstance(kind, np.dtype) else None


@cache
def _is_inexact(kind: Any) -> bool:
    return jnp.issubdtype(kind, jnp.inexact)


def holds_numbers(leaf: Any) -> bool:
    """Whether a setting holds numbers: flags, names and functions do not."""
    if isinstance(leaf, bool | np.bool_ | type | np.dtype):  # types have a shape too
        return False
    return isinstance(leaf, int | float | complex) or hasattr(leaf, "shape")


def is_constant(leaf: Any) -> bool:
    """Whether this is a known array of several numbers, or a known random key."""
    if isinstance(leaf, Tracer) or not isinstance(leaf, np.ndarray | jax.Array):
        return False
    return bool(leaf.shape) or jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


def compute_dtype(dtype: DTypeLike) -> Any:
    """Return the type to compute in: at least float32, of the same kind."""
    dtype = jnp.dtype(dtype)
    if jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4:  # noqa: PLR2004
        return jnp.dtype(jnp.float32)
    return dtype


def cast(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Return an array in another type, and its largest numbers for those beyond it.

    Infinities stay, so that what went wrong before shows.
    """
    both = jnp.issubdtype(dtype, jnp.floating), jnp.issubdtype(x.dtype, jnp.floating)
    # The largest bfloat16 is about the largest float32, and needs no care.
    if all(both) and jnp.finfo(dtype).maxexp < jnp.finfo(x.dtype).maxexp:
        most = float(jnp.finfo(dtype).max)
        x = jnp.where(jnp.isinf(x), x, jnp.clip(x, -most, most))
    return x.astype(dtype)


def real_dtype(dtype: DTypeLike) -> Any:
    """Return the real type of the same width: complex64 gives float32."""
    return jnp.finfo(dtype).dtype


def value_at(value: ScalarOrSchedule, step: Count) -> Any:
    """Return ``value``, or what it is at ``step`` if it is a schedule."""
    return value(step) if callable(value) else value


@jax.custom_jvp
def sqrt(x: jax.Array) -> jax.Array:
    """Return √x, with the derivative 0 at 0, where the true one is infinite."""
    return jnp.sqrt(x)


@sqrt.defjvp
def _sqrt_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    root = sqrt(x)
    slope = jnp.where(x == 0, 0, 0.5 / jnp.where(x == 0, 1, root))
    return root, slope * dx


@jax.custom_jvp
def inverse_sqrt(x: jax.Array) -> jax.Array:
    """Return 1 / √x, and 0 at 0, where the derivative is 0 too."""
    return jnp.where(x == 0, 0, jax.lax.rsqrt(jnp.where(x == 0, 1, x)))


@inverse_sqrt.defjvp
def _inverse_sqrt_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    root = inverse_sqrt(x)
    return root, -0.5 * (root * (root * (root * dx)))


def abs_sq(x: jax.Array) -> jax.Array:
    """Return |x|², real, and not above an eighth of the largest float.

    The bound lets a running mean of squares stay finite whatever gradients come, so
    that one huge gradient does not silence a parameter for ever. NaN stays NaN.
    """
    exact = square(x)
    return jnp.minimum(exact, largest_square(exact.dtype))


def square(x: jax.Array) -> jax.Array:
    """Return |x|², real."""
    return x.real * x.real + x.imag * x.imag if jnp.iscomplexobj(x) else x * x


def largest_square(dtype: DTypeLike) -> float:
    """Return where :func:`abs_sq` stops."""
    return float(jnp.finfo(dtype).max) / 8


def one_minus(x: Scalar) -> Any:
    """Return 1 - x, to the last digit also where x was rounded when it was traced."""
    rest = _RESTS.get(id(x))
    return 1 - x if rest is None else (1 - x) + rest


# What was lost of a number, by the identity of what stands for it.
_RESTS: dict[int, Any] = {}


@contextmanager
def known_rests(numbers: Sequence[Any], rests: Sequence[Any]) -> Iterator[None]:
    """Let :func:`one_minus` know by how much numbers grew when they were traced.

    In float32, 0.999 is 1.3e-8 too large, and 1 - 0.999 too small by a part in a
    hundred thousand. Written into the program, a number loses nothing.
    """
    entries = {
        id(x): rest
        for x, rest in zip(numbers, rests, strict=True)
        if isinstance(x, Tracer) and x.dtype == jnp.float32
    }
    _RESTS.update(entries)
    try:
        yield
    finally:
        for key in entries:
            _RESTS.pop(key, None)


def one_minus_power(base: Scalar, exponent: Count, dtype: DTypeLike) -> jax.Array:
    """Return 1 - baseᵗ without the cancellation that a base close to 1 brings.

    Args:
      base: in [0, 1).
      exponent: t, an integer array.
      dtype: the real type to compute in.
    """
    t = jnp.asarray(exponent).astype(dtype)
    if isinstance(base, float | int | np.generic):  # then its logarithm is exact
        if base <= 0:
            return jnp.where(t == 0, 0.0, 1.0).astype(dtype)
        log = math.log(float(base))
    else:
        zero = base == 0
        rest = _RESTS.get(id(base))
        less_1 = jnp.where(zero, 0.5, base) - 1
        exact = jnp.log1p(less_1 if rest is None else less_1 - rest)
        log = jnp.where(zero, -1e30, exact).astype(dtype)  # and 0 · log is 0
    return -jnp.expm1(t * log)


def debias(x: jax.Array, decay: Scalar, count: Count) -> jax.Array:
    """Return x / (1 - decayᵗ): a running mean that started at 0, made unbiased."""
    return x / one_minus_power(decay, count, real_dtype(x.dtype))


def ema(old: jax.Array, new: jax.Array, decay: Scalar) -> jax.Array:
    """Return (1 - decay)·new + decay·old, one step of a running mean."""
    # Compilers join the first product with the sum, which then rounds once: in this
    # order it rounds as in optax, whose states are continued bit for bit.
    return one_minus(decay) * new + decay * old


def ema_of_squares(old: jax.Array, x: jax.Array, decay: Scalar) -> jax.Array:
    """Return one step of a running mean of |x|², each bounded as in :func:`abs_sq`."""
    # `old` is below the bound. That it is put on both keeps the products alike, so that
    # compilers choose the one to join with the sum as they do without any bound.
    return ema(jnp.minimum(old, largest_square(old.dtype)), abs_sq(x), decay)


def mean(
    x: jax.Array, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False
) -> jax.Array:
    """Return the mean of numbers that are finite, which is finite too.

    The sum of large numbers would overflow, so they are divided first, by a power of 2,
    which rounds nothing.

    Args:
      x: an array of floats.
      axis: the axes to take the mean over; all if None. Of no numbers it is 0.
      keepdims: whether these axes stay, with length 1.
    """
    over = range(x.ndim) if axis is None else np.atleast_1d(axis)
    count = max(math.prod(x.shape[i] for i in over), 1)
    part = 2.0 ** -math.ceil(math.log2(count))
    return jnp.sum(x * part, axis=axis, keepdims=keepdims) / (count * part)


def overwrite(old: jax.Array, new: jax.Array, flag: jax.Array) -> jax.Array:
    """Return ``new``, for a slot of state that keeps the gradient as it came.

    Written plainly, that is a separate copy, which reads the gradient a second time.
    XLA cannot simplify this select away: it is fused with what else is computed, and
    written in place of ``old``.

    Args:
      old: what is in the slot.
      new: what is to be in it.
      flag: any boolean that is not known before the step.
    """
    return jnp.where(flag | jnp.logical_not(flag), new, old)


def add_squares(old: jax.Array, x: jax.Array) -> jax.Array:
    """Return |x|² + old, each bounded as in :func:`abs_sq`: it cannot overflow."""
    bound = largest_square(old.dtype)
    old = jnp.minimum(old, bound)
    return jnp.minimum(square(x) + old, bound + old)


def safe_increment(count: Count) -> jax.Array:
    """Return count + 1, or count where it is the largest of its type.

    Args:
      count: an array of integers or floats.

    Raises:
      ValueError: for flags and complex numbers.

    Example:
      >>> print(gradtx.safe_increment(jnp.array(2**31 - 1, jnp.int32)))  # stays there
      2147483647
    """
    return _incremented(count)


# Outside of jit, as a step of schedules takes it, it is one program.
@partial(jax.jit, inline=True)
def _incremented(count: Any) -> jax.Array:
    count = jnp.asarray(count)
    if jnp.issubdtype(count.dtype, jnp.integer):
        largest = np.asarray(jnp.iinfo(count.dtype).max, count.dtype)
    elif jnp.issubdtype(count.dtype, jnp.floating):
        largest = np.asarray(jnp.finfo(count.dtype).max, count.dtype)
    else:
        raise checks.InvalidArgument(
            f"safe_increment: a count cannot be of type {count.dtype}"
        )
    one = jnp.ones((), count.dtype)
    return jnp.where(count < largest, count + one, count)


safe_int32_increment = safe_increment  # its name of before


def safe_divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Return numerator / denominator, and 0 where the denominator is 0.

    The numerator must be finite there.
    """
    zero = denominator == 0
    if not (jnp.iscomplexobj(numerator) or jnp.iscomplexobj(denominator)):
        return numerator / jnp.where(zero, jnp.inf, denominator)
    return jnp.where(zero, 0, numerator / jnp.where(zero, 1, denominator))
