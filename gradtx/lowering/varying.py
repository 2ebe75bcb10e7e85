"""Along which axes of a mesh values differ from device to device.

Within ``jax.shard_map`` the type of an array says along which axes its values vary.
What is computed of several arrays varies along the axes of all of them; a constant,
such as a first count, varies along none. JAX wants the two ends of a loop, and the
branches of a conditional, to vary alike, so there the axes that are missing are named.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import jax

from gradtx.common.leaves import is_array
from gradtx.common.types import AxisName

T = TypeVar("T")
Axes = frozenset[Any]


def is_manual() -> bool:
    """Whether this is within ``jax.shard_map``, and an array what one device holds."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def varying_axes(x: Any) -> Axes:
    """Return the axes along which an array varies, by its type."""
    kind = x if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x)
    manual = getattr(kind, "manual_axis_type", None)
    if manual is None:  # as in older versions of JAX, and where nothing is said of it
        return frozenset(getattr(kind, "vma", None) or ())
    return frozenset(manual.varying)


def all_axes(tree: Any) -> Axes:
    """Return the axes along which one of the arrays in a tree varies."""
    arrays = filter(is_array, jax.tree.leaves(tree))
    return frozenset().union(*map(varying_axes, arrays))


def varied(x: Any, axes: Axes) -> Any:
    """Return an array as one that may vary along these axes too."""
    missing = tuple(sorted(axes - varying_axes(x), key=str))
    if not missing:
        return x
    # JAX 0.8 has this under another name.
    pvary = getattr(jax.lax, "pvary", None)
    if pvary is not None and not hasattr(jax.lax, "pcast"):
        return pvary(x, missing)
    return jax.lax.pcast(x, missing, to="varying")


def varied_leaves(tree: T, axes: Iterable[Axes]) -> T:
    """Return a tree whose leaves may vary along the axes given for each."""
    leaves, treedef = jax.tree.flatten(tree)
    return treedef.unflatten([varied(x, a) for x, a in zip(leaves, axes, strict=True)])


def own_key(key: jax.Array, x: Any) -> jax.Array:
    """Return a random key to draw numbers for an array with.

    Where the array differs from device to device, so does the key: two parts of one
    array with the same noise would tell of it.
    """
    for name in sorted(varying_axes(x), key=str):
        key = jax.random.fold_in(key, jax.lax.axis_index(name))
    return key


def axis_names(axis_name: AxisName) -> tuple[str, ...]:
    """Return the names of the axes, of which there may be one or none."""
    if axis_name is None:
        return ()
    return (axis_name,) if isinstance(axis_name, str) else tuple(axis_name)


def varied_with(others: Any, tree: T, summed: AxisName = None) -> T:
    """Return a tree whose leaves all vary as those of another, taken together, do.

    For state that is to be computed from all leaves: a scan over steps wants it to vary
    from the first step on as it will after one.

    Args:
      others: the tree that tells the axes.
      tree: the tree whose leaves are to vary.
      summed: the axes over which it is computed from all devices: it is the same along
        them.
    """
    axes = all_axes(others) - frozenset(axis_names(summed))
    return jax.tree.map(lambda x: varied(x, axes), tree) if axes else tree
