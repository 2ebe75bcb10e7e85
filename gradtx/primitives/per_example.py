"""Bounds on the gradient of every example, before the sum over the batch."""

import math
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import AxisName, PyTree, Scalar
from gradtx.lowering import collective
from gradtx.tree import norms


def per_example_global_norm_clip(
    grads: PyTree, l2_norm_clip: Scalar, axis_name: AxisName = None
) -> tuple[PyTree, jax.Array]:
    """Bound the norm of every example's gradient, and sum over the examples.

        Σᵢ gᵢ · min(1, C / ‖gᵢ‖₂)           ‖·‖₂ over all leaves as one vector

    Args:
      grads: a tree of arrays whose first axis is that of the examples.
      l2_norm_clip: C, at least 0: the largest norm of an example's gradient.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        squares of leaves in parts are summed, as :func:`gradtx.tree.norm` takes it. An
        axis over which the examples are spread is none of them: the sums are of this
        device's examples. None: the norms of what this device holds.

    Returns:
      The sums, and the number of examples that were scaled down.

    Raises:
      ValueError: if the leaves do not share their first axis, and for an axis that is
        not there.

    Reference: Abadi et al., 2016, https://arxiv.org/abs/1607.00133

    Example:
      >>> grads = {"a": jnp.array([[3.0, 4.0], [0.3, 0.4]])}
      >>> sums, clipped = gradtx.per_example_global_norm_clip(grads, 1.0)
      >>> print(sums["a"].round(2), clipped)
      [0.9       1.1999999] 1
    """
    _check_examples(grads, "per_example_global_norm_clip")
    grads = jax.tree.map(_inexact, grads)
    if not jax.tree.leaves(grads):
        return grads, jnp.zeros((), jnp.int32)
    lengths = _lengths(jax.tree.leaves(grads), axis_name)
    long = lengths > l2_norm_clip
    factors = jnp.where(long, l2_norm_clip / jnp.where(long, lengths, 1), 1)
    return jax.tree.map(lambda g: _weighted_sum(factors, g), grads), jnp.sum(long)


def per_example_layer_norm_clip(
    grads: PyTree,
    global_l2_norm_clip: Scalar,
    uniform: bool = True,
    axis_name: AxisName = None,
) -> tuple[PyTree, PyTree]:
    """Bound the norm of every example's gradient leaf by leaf, and sum over them.

        Σᵢ gᵢ · min(1, Cₗ / ‖gᵢ‖₂)  in each leaf,         Cₗ = C √(1 / L)
                                                       or C √(nₗ / n), if not uniform

    So the whole gradient of an example is no longer than C.

    Args:
      grads: a tree of arrays whose first axis is that of the examples.
      global_l2_norm_clip: C, at least 0: the largest norm of an example's whole
        gradient.
      uniform: whether all L leaves have the same bound; otherwise it grows with the
        number nₗ of the leaf's parameters, out of n.
      axis_name: as :func:`per_example_global_norm_clip` takes it.

    Returns:
      The sums, and for every leaf the number of examples that were scaled down.

    Raises:
      ValueError: if the leaves do not share their first axis, and for an axis that is
        not there.

    Reference: McMahan et al., 2018, https://arxiv.org/abs/1812.06210

    Example:
      >>> grads = {"a": jnp.array([[3.0, 4.0], [0.3, 0.4]])}
      >>> sums, clipped = gradtx.per_example_layer_norm_clip(grads, 1.0)
      >>> print(sums["a"].round(2), clipped)
      [0.9       1.1999999] {'a': Array(1, dtype=int32)}
    """
    _check_examples(grads, "per_example_layer_norm_clip")
    leaves, treedef = jax.tree.flatten(grads)
    sizes = [1 if uniform else _entries(g, axis_name) for g in leaves]
    total = max(sum(sizes), 1)
    results = [
        per_example_global_norm_clip(
            g, global_l2_norm_clip * (n / total) ** 0.5, axis_name
        )
        for g, n in zip(leaves, sizes, strict=True)
    ]
    sums, counts = ([r[i] for r in results] for i in range(2))
    return treedef.unflatten(sums), treedef.unflatten(counts)


def _inexact(g: Any) -> jax.Array:
    g = jnp.asarray(g)
    return g if jnp.issubdtype(g.dtype, jnp.inexact) else g.astype(float)


def _entries(g: Any, axis_name: AxisName) -> int:
    """Return how many entries one example has, on all devices."""
    return math.prod(jnp.shape(g)[1:]) * collective.parts_of(g, axis_name)


def _lengths(leaves: list[jax.Array], axis_name: AxisName) -> jax.Array:
    """Return the norm of every example, whose squares may overflow or vanish."""
    groups = collective.by_axes(map(norms.modulus, leaves), axis_name)
    largest = jnp.zeros(leaves[0].shape[:1], jnp.float32)
    for axes, moduli in groups:
        still = map(jax.lax.stop_gradient, moduli)
        here = reduce(jnp.maximum, (jnp.max(x, _inner(x), initial=0) for x in still))
        largest = jnp.maximum(largest, collective.largest(here, axes))
    unit = _power_of_two(largest)
    squares = jnp.zeros_like(unit)
    for axes, moduli in groups:
        scaled = (x / unit.reshape(-1, *(1,) * (x.ndim - 1)) for x in moduli)
        here = sum(jnp.sum(x * x, axis=_inner(x)) for x in scaled)
        squares = squares + collective.summed(here, axes)
    return unit * numerics.sqrt(squares)


def _inner(x: jax.Array) -> tuple[int, ...]:
    """Return all axes but that of the examples."""
    return tuple(range(1, x.ndim))


def _power_of_two(x: jax.Array) -> jax.Array:
    """Return the power of two below x, by which one divides exactly; 1 for 0 and ∞."""
    ordinary = (x > jnp.finfo(x.dtype).tiny) & (x < jnp.inf)
    exponent = jnp.frexp(jnp.where(ordinary, x, 1))[1] - 1
    return jnp.where(ordinary, jnp.ldexp(jnp.ones_like(x), exponent), 1)


def _weighted_sum(factors: jax.Array, g: jax.Array) -> jax.Array:
    """Return the sum over the first axis, added up in at least float32."""
    wide = g.astype(numerics.compute_dtype(g.dtype))
    return jnp.tensordot(factors.astype(wide.dtype), wide, axes=1).astype(g.dtype)


def _check_examples(grads: PyTree, name: str) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(grads)
    batches = {jnp.shape(g)[0] for _, g in leaves if jnp.ndim(g)}
    for path, g in leaves:
        if jnp.ndim(g) == 0 or len(batches) > 1:
            raise checks.InvalidArgument(
                f"{name}: the first axis of every leaf must be that of the examples, "
                f"got shape {jnp.shape(g)} at {checks.path_name(path)}, and first axes "
                f"of {sorted(batches)}"
            )
