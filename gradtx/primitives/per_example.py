"""Bounds on the gradient of every example, before the sum over the batch."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import PyTree, Scalar
from gradtx.tree import norms


def per_example_global_norm_clip(
    grads: PyTree, l2_norm_clip: Scalar
) -> tuple[PyTree, jax.Array]:
    """Bound the norm of every example's gradient, and sum over the examples.

        Σᵢ gᵢ · min(1, C / ‖gᵢ‖₂)           ‖·‖₂ over all leaves as one vector

    Args:
      grads: a tree of arrays whose first axis is that of the examples.
      l2_norm_clip: C, at least 0: the largest norm of an example's gradient.

    Returns:
      The sums, and the number of examples that were scaled down.

    Raises:
      ValueError: if the leaves do not share their first axis.

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
    lengths = _lengths([jnp.asarray(g) for g in jax.tree.leaves(grads)])
    long = lengths > l2_norm_clip
    factors = jnp.where(long, l2_norm_clip / jnp.where(long, lengths, 1), 1)
    return jax.tree.map(lambda g: _weighted_sum(factors, g), grads), jnp.sum(long)


def per_example_layer_norm_clip(
    grads: PyTree, global_l2_norm_clip: Scalar, uniform: bool = True
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

    Returns:
      The sums, and for every leaf the number of examples that were scaled down.

    Raises:
      ValueError: if the leaves do not share their first axis.

    Reference: McMahan et al., 2018, https://arxiv.org/abs/1812.06210

    Example:
      >>> grads = {"a": jnp.array([[3.0, 4.0], [0.3, 0.4]])}
      >>> sums, clipped = gradtx.per_example_layer_norm_clip(grads, 1.0)
      >>> print(sums["a"].round(2), clipped)
      [0.9       1.1999999] {'a': Array(1, dtype=int32)}
    """
    _check_examples(grads, "per_example_layer_norm_clip")
    leaves, treedef = jax.tree.flatten(grads)
    sizes = [1 if uniform else g[0].size for g in leaves]
    total = max(sum(sizes), 1)
    results = [
        per_example_global_norm_clip(g, global_l2_norm_clip * (n / total) ** 0.5)
        for g, n in zip(leaves, sizes, strict=True)
    ]
    sums, counts = ([r[i] for r in results] for i in range(2))
    return treedef.unflatten(sums), treedef.unflatten(counts)


def _inexact(g: Any) -> jax.Array:
    g = jnp.asarray(g)
    return g if jnp.issubdtype(g.dtype, jnp.inexact) else g.astype(float)


def _lengths(leaves: list[jax.Array]) -> jax.Array:
    """Return the norm of every example, whose squares may overflow or vanish."""
    moduli = [norms.modulus(g) for g in leaves]
    largest = jnp.zeros(leaves[0].shape[:1], jnp.float32)
    for x in moduli:
        inner = tuple(range(1, x.ndim))
        largest = jnp.maximum(largest, jnp.max(x, axis=inner, initial=0))
    unit = _power_of_two(jax.lax.stop_gradient(largest))
    squares = jnp.zeros_like(unit)
    for x in moduli:
        scaled = x / unit.reshape(-1, *(1,) * (x.ndim - 1))
        squares = squares + jnp.sum(scaled * scaled, axis=tuple(range(1, x.ndim)))
    return unit * numerics.sqrt(squares)


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
