"""Norms of a whole tree, summed in float32 or wider, right at 0 and at overflow."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks, numerics
from gradtx.common.leaves import numeric
from gradtx.common.types import AxisName, PyTree
from gradtx.lowering import collective
from gradtx.lowering.conditional import cond_inplace
from gradtx.lowering.control_flow import platform_dependent
from gradtx.lowering.packing import concatenate_small
from gradtx.tree.sums import sums


def norm(
    tree: PyTree,
    ord: Any = None,  # noqa: A002
    squared: bool = False,
    axis_name: AxisName = None,
) -> jax.Array:
    """Return the norm of all entries of a tree, taken as one vector.

        ‖x‖₂ = √Σ|xᵢ|²      ‖x‖₁ = Σ|xᵢ|      ‖x‖∞ = max|xᵢ|

    The sum runs in float32 for half-precision leaves, in the leaves' own precision
    otherwise. ‖x‖₂ is right as long as it can be written down itself, also where the
    squares overflow or vanish; its gradient at 0 is 0. An empty tree has the norm 0.

    Integers and flags count as the numbers that they are; what is no number, such as a
    random key, a function or a gradient of float0, does not count.

    Args:
      tree: a tree of real or complex arrays.
      ord: 2 (or None), 1, or ``inf``.
      squared: return the norm's square.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, whose devices
        hold parts of the tree: leaves that vary along it, by their types, are summed
        over it, and all others count once. None: what this device holds. The largest
        entry of several devices has no derivative.

    Raises:
      ValueError: for another ``ord``; for an axis that is not there, or along which
        types do not tell what varies, as without ``check_vma``.

    Example:
      >>> print(gradtx.tree.norm({"a": jnp.array([3.0, 4.0]), "b": jnp.zeros(1)}))
      5.0
    """
    if ord in (None, 2):
        unit, total = scaled_squares(tree, axis_name=axis_name)
        return unit * unit * total if squared else unit * numerics.sqrt(total)
    if ord == 1:
        result = _over_devices(tree, axis_name, _sum, collective.summed, _total)
    elif ord in ("inf", "infinity", jnp.inf):
        result = _over_devices(tree, axis_name, _largest, collective.largest, _largest)
    else:
        raise checks.InvalidArgument(f"norm: ord must be 1, 2 or inf, got {ord!r}")
    return result * result if squared else result


def global_norm(updates: PyTree) -> jax.Array:
    """Return ‖updates‖₂ as :func:`norm` does: its name of before.

    Args:
      updates: a tree of real or complex arrays.

    Example:
      >>> print(gradtx.global_norm({"a": jnp.array([3.0]), "b": jnp.array([4.0])}))
      5.0
    """
    return norm(updates)


def scaled_norm(
    tree: PyTree,
    measure: Callable[[jax.Array], jax.Array] | None = None,
    axis_name: AxisName = None,
) -> tuple[jax.Array, jax.Array]:
    """Return two factors of ‖x‖₂, so that neither overflows where the entries do not.

    The first is 1 unless the sum of squares overflows or vanishes.

    Args:
      tree: a tree of arrays.
      measure: what to take for |x| of one array, instead of :func:`modulus`; it may
        differ only where the square overflows.
      axis_name: as :func:`norm` takes it.
    """
    unit, total = scaled_squares(tree, measure, axis_name)
    return unit, numerics.sqrt(total)


def scaled_squares(
    tree: PyTree,
    measure: Callable[[jax.Array], jax.Array] | None = None,
    axis_name: AxisName = None,
) -> tuple[jax.Array, jax.Array]:
    """Return a unit u and Σ|xᵢ / u|², which does not overflow.

    The unit is 1 unless the sum of squares overflows or vanishes.

    Args:
      tree: a tree of arrays.
      measure: what to take for |x| of one array, instead of :func:`modulus`; it may
        differ only where the square overflows.
      axis_name: as :func:`norm` takes it.
    """
    groups = collective.by_axes(map(jnp.asarray, numeric(tree)), axis_name)
    return collective.squares_together(
        (axes, _squares_here(arrays, measure or modulus)) for axes, arrays in groups
    )


def _squares_here(
    arrays: list[jax.Array], measure: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, jax.Array]:
    arrays = concatenate_small(_alike(arrays))
    if not any(isinstance(x, Tracer) for x in arrays):
        return _squares_twice(measure, arrays)
    return platform_dependent(
        arrays,
        cpu=partial(_squares_twice, measure),
        default=partial(squares_in_three_units, measure),
    )


def _alike(arrays: list[jax.Array]) -> list[jax.Array]:
    """Return arrays in float64 where some are: a unit of theirs is no float32."""
    kinds = [x.dtype for x in arrays]
    if jnp.result_type(jnp.float32, *kinds) in (jnp.float64, jnp.complex128):
        return [x.astype(jnp.promote_types(x.dtype, jnp.float64)) for x in arrays]
    return arrays


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def squares_in_three_units(
    measure: Callable[[jax.Array], jax.Array], arrays: list[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Sum the squares in a large and in a small unit besides, all in one reading.

    Where arithmetic is cheaper than memory, and several sums make one kernel. As
    nothing is read again, nothing that is computed on the way needs to be stored.
    """
    measured = jax.eval_shape(lambda: [measure(x) for x in arrays])
    info = jnp.finfo(jnp.result_type(jnp.float32, *measured))
    large, small = info.maxexp * 5 // 8, -info.maxexp * 11 // 16
    found = [_squares(x, measure, (0, large, small)) for x in arrays]
    columns = list(zip(*found, strict=True)) or [()] * 3
    plain, in_large, in_small = map(_total, columns)
    # The comparisons are false for NaN, which stays.
    over, under = plain > info.max, plain <= info.tiny / info.eps
    unit = jnp.where(over, 2.0**large, jnp.where(under, 2.0**small, 1))
    rest = jnp.where(over, in_large, jnp.where(under, in_small, plain))
    return unit.astype(plain.dtype), rest


@squares_in_three_units.defjvp
def _slope_of_squares(
    measure: Callable[[jax.Array], jax.Array], primals: Any, tangents: Any
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    # Of the sums that were not chosen some overflow, and 0 · ∞ would come from them.
    unit, rest = squares_in_three_units(measure, *primals)

    def chosen(arrays: list[jax.Array]) -> jax.Array:
        return _total(jnp.sum(jnp.square(measure(x) / unit)) for x in arrays)

    slope = jax.jvp(chosen, primals, tangents)[1]
    return (unit, rest), (jnp.zeros_like(unit), slope.astype(rest.dtype))


def _total(parts: Iterable[jax.Array]) -> jax.Array:
    return sum(parts, start=jnp.float32(0))


@partial(jax.jit, static_argnums=(1, 2))
def _squares(
    x: jax.Array, measure: Callable[[jax.Array], jax.Array], units: tuple[int, ...]
) -> tuple[jax.Array, ...]:
    """Return Σ|x / 2ⁿ|² of one array for every n, traced once for each shape."""
    y = measure(x)
    # Without the bound XLA may square y and 2⁻ⁿ apart, and either overflows.
    most = jnp.finfo(y.dtype).max
    scaled = [jnp.minimum(y * 2.0**-n, most) if n else y for n in units]
    return sums(tuple(jnp.square(y) for y in scaled))


def _squares_twice(
    measure: Callable[[jax.Array], jax.Array], arrays: list[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Sum the squares, and only if they overflow or vanish once more, by the largest.

    Where each sum is a reading of its own.
    """
    # Unbounded, as no bound is needed where squares do not overflow, and as the arrays
    # with one would be stored before they are summed.
    total = _total(_squares(x, modulus, (0,))[0] for x in arrays)
    info = jnp.finfo(total.dtype)
    fine = (total > info.tiny / info.eps) & (total <= info.max)

    def relatively(_: Any) -> tuple[jax.Array, jax.Array]:
        moduli = [measure(x) for x in arrays]
        largest = jax.lax.stop_gradient(_largest(moduli)).astype(total.dtype)
        ordinary = (largest > 0) & (largest < jnp.inf)
        unit = jnp.where(ordinary, largest, 1)
        parts = [jnp.sum(jnp.square(x / unit.astype(x.dtype))) for x in moduli]
        rest = sum(parts, start=jnp.zeros((), total.dtype))
        return unit, rest.astype(total.dtype)

    plainly = (jnp.ones((), total.dtype), total)
    return cond_inplace(~(fine | jnp.isnan(total)), relatively, plainly)


def rms(x: jax.Array, axis_name: AxisName = None) -> jax.Array:
    """Return √mean|xᵢ|² of one array; 0 where there are no entries.

    Args:
      x: an array.
      axis_name: as :func:`norm` takes it.
    """
    unit, total = scaled_squares(x, axis_name=axis_name)
    size = x.size * collective.parts_of(x, axis_name)
    return unit * numerics.sqrt(total / max(size, 1))


def norm_along(
    x: jax.Array, axis: int | tuple[int, ...] | None, axis_name: AxisName = None
) -> jax.Array:
    """Return the norms of an array along some axes, which stay with length 1.

    They are taken relative to the largest entry, as squares may overflow.

    Args:
      x: an array.
      axis: the axes; None for one norm of all entries, a scalar.
      axis_name: as :func:`norm` takes it, for an array in parts along ``axis``.
    """
    if axis is None:
        return norm(x, axis_name=axis_name)
    size = modulus(x)
    parts = collective.axes_of(x, axis_name)
    top = jnp.max(jax.lax.stop_gradient(size), axis=axis, keepdims=True, initial=0)
    top = collective.largest(top, parts)
    top = jnp.where((top > 0) & (top < jnp.inf), top, 1)
    squares = jnp.sum(jnp.square(size / top), axis=axis, keepdims=True)
    return top * numerics.sqrt(collective.summed(squares, parts))


def _over_devices(
    tree: PyTree, axis_name: AxisName, here: Any, over: Any, together: Any
) -> jax.Array:
    """Return what is found here, over devices, and of leaves that vary differently."""
    groups = collective.by_axes(map(jnp.asarray, numeric(tree)), axis_name)
    found = [(axes, here([modulus(x) for x in arrays])) for axes, arrays in groups]
    return together([over(x, axes) for axes, x in found])


def _sum(moduli: list[jax.Array]) -> jax.Array:
    return _total(map(jnp.sum, moduli))


def modulus(x: jax.Array) -> jax.Array:
    """Return |x| in the type to sum in, with the derivative 0 at complex zeros."""
    if jnp.iscomplexobj(x):
        zero = x == 0
        return jnp.where(zero, 0, jnp.abs(jnp.where(zero, 1, x)))
    whole = not jnp.issubdtype(x.dtype, jnp.inexact)
    return jnp.abs(x.astype(jnp.float32 if whole else numerics.compute_dtype(x.dtype)))


def _largest(moduli: list[jax.Array]) -> jax.Array:
    filled = [jnp.max(x, initial=0) for x in moduli]
    result = jnp.float32(0)
    for x in filled:
        result = jnp.maximum(result, x)
    return result
