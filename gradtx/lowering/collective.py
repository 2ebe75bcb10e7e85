"""Numbers of one device made those of all, within ``jax.shard_map``."""

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import AxisName
from gradtx.lowering.varying import axis_names, is_manual, varying_axes

Groups = list[tuple[tuple[str, ...], list[Any]]]


def by_axes(arrays: Iterable[Any], axis_name: AxisName) -> Groups:
    """Part arrays by those of the named axes along which they vary, by their types.

    What varies along an axis is in parts over it; what does not is on every device.

    Raises:
      ValueError: where the types do not tell, or where there is no such axis.
    """
    arrays = list(arrays)
    if axis_name is None:
        return [((), arrays)]
    names = axis_names(axis_name)
    _check_told(names)
    groups: dict[tuple[str, ...], list[Any]] = {}
    for x in arrays:
        axes = tuple(name for name in names if name in varying_axes(x))
        groups.setdefault(axes, []).append(x)
    return list(groups.items()) or [((), [])]


def axes_of(x: Any, axis_name: AxisName) -> tuple[str, ...]:
    """Return the named axes over which one array is in parts, as :func:`by_axes`."""
    ((axes, _),) = by_axes([x], axis_name)
    return axes


def _check_told(names: tuple[str, ...]) -> None:
    for name in names:
        try:
            index = jax.lax.axis_index(name)
        except NameError as error:
            raise checks.InvalidArgument(
                f"axis_name: there is no axis {name!r} here; it is for use within "
                "jax.shard_map over that axis. Under jit alone leave axis_name out: "
                "sums there are over all devices"
            ) from error
        if name not in varying_axes(index):
            raise checks.InvalidArgument(
                f"axis_name: along {name!r} the types do not tell which leaves are in "
                "parts: use it within jax.shard_map with check_vma=True"
            )


def summed(x: Any, axes: tuple[str, ...]) -> Any:
    """Return the sum over all devices along some axes; of none, the array itself."""
    return jax.lax.psum(x, axes) if axes else x


def sums_of_groups(
    numbers: Iterable[Any], axis_name: AxisName, start: Any = 0
) -> list[Any]:
    """Return numbers whose sum is that of some numbers over all devices.

    One for all numbers that vary along the same of the named axes, where there are any.

    Args:
      numbers: the numbers.
      axis_name: the axes.
      start: what the sums begin with: 0, in the least precise type that they may have.
    """
    if axis_name is None:
        return list(numbers)
    groups = by_axes(numbers, axis_name)
    return [summed(sum(some, start=start), axes) for axes, some in groups]


def parts_of(x: Any, axis_name: AxisName) -> int:
    """Return over how many devices, along the named axes, an array is in parts."""
    return math.prod(map(jax.lax.axis_size, axes_of(x, axis_name)))


def largest(x: Any, axes: tuple[str, ...]) -> Any:
    """Return the largest over all devices along some axes; it has no derivative."""
    return jax.lax.pmax(x, axes) if axes else x


def shared_along(tree: Any, axis_name: AxisName) -> Any:
    """Return numbers that are equal along some axes with types that tell so.

    Outside of ``jax.shard_map``, where a first state may be made, there is one of each.
    """

    def one(x: Any) -> Any:
        return largest(x, axes_of(x, axis_name))

    return tree if axis_name is None or not is_manual() else jax.tree.map(one, tree)


def squares_together(
    found: Iterable[tuple[tuple[str, ...], tuple[jax.Array, jax.Array]]],
) -> tuple[jax.Array, jax.Array]:
    """Return a unit and a sum of squares in it from several, in units of their own.

    Args:
      found: the axes over which a sum is in parts, and (u, Σ|xᵢ / u|²).
    """
    found = list(found)
    if len(found) == 1 and not found[0][0]:
        return found[0][1]
    units = [_unit_of(axes, *pair) for axes, pair in found]
    top = _maximum(shared for _, shared in units)
    top = jnp.where(top > 0, top, 1)
    total = jnp.float32(0)
    for (axes, (_, part)), (own, _) in zip(found, units, strict=True):
        # Infinity stays what it is in a unit that makes all others vanish.
        scaled = jnp.where(jnp.isinf(part), part, part * jnp.square(own / top))
        total = total + summed(scaled, axes)
    return top, total


def _unit_of(axes: tuple[str, ...], unit: Any, total: Any) -> tuple[Any, Any]:
    # A sum of nothing has no unit: it would hide the small ones of others.
    own = jax.lax.stop_gradient(jnp.where(total > 0, unit, 0))
    return own, largest(own, axes)


def _maximum(parts: Iterable[Any]) -> Any:
    first, *rest = parts
    for x in rest:
        first = jnp.maximum(first, x)
    return first
