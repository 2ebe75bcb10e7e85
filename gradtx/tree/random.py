"""Random trees and the keys for them."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.types import DTypeLike, PyTree
from gradtx.lowering.varying import own_key


def split_key_like(rng_key: jax.Array, target_tree: PyTree) -> PyTree:
    """Return a key of its own for every leaf of a tree.

    Args:
      rng_key: the key to split.
      target_tree: the tree whose structure is taken.

    Example:
      >>> keys = gradtx.tree.split_key_like(jax.random.key(0), {"a": 1, "b": 2})
      >>> print(sorted(keys))
      ['a', 'b']
    """
    treedef = jax.tree.structure(target_tree)
    return treedef.unflatten(list(jax.random.split(rng_key, treedef.num_leaves)))


def random_like(
    rng_key: jax.Array,
    target_tree: PyTree,
    sampler: Callable[..., jax.Array] = jax.random.normal,
    dtype: DTypeLike | None = None,
) -> PyTree:
    """Return random leaves in the shapes, and over the devices, of a tree's leaves.

    Args:
      rng_key: the key; every leaf gets one split off it. Within ``jax.shard_map`` the
        devices draw different numbers for a leaf that differs between them.
      target_tree: the tree whose structure and shapes are taken.
      sampler: ``sampler(key, shape, dtype)``, such as those of :mod:`jax.random`.
      dtype: the type asked of the sampler; None asks for the type of each leaf.

    Example:
      >>> noise = gradtx.tree.random_like(jax.random.key(0), {"a": jnp.zeros((2, 3))})
      >>> print(noise["a"].shape)
      (2, 3)
    """

    def one(x: Any, key: jax.Array) -> jax.Array:
        x = jnp.asarray(x)
        kind = x.dtype if dtype is None else dtype
        return sampler(own_key(key, x), x.shape, kind, **_layout(sampler, x))

    return jax.tree.map(one, target_tree, split_key_like(rng_key, target_tree))


def _layout(sampler: Callable[..., Any], x: jax.Array) -> dict[str, Any]:
    """Return how to lay out the sample, where the program says it of every array."""
    sharding = jax.typeof(x).sharding
    explicit = not sharding.mesh.empty and sharding.mesh.are_all_axes_explicit
    takes = "out_sharding" in inspect.signature(sampler).parameters
    return {"out_sharding": sharding} if explicit and takes else {}


def unwrap_random_key_data(input_tree: PyTree) -> PyTree:
    """Return the tree with the numbers behind each random key in its place.

    Args:
      input_tree: a tree in which some leaves may be random keys; others stay.

    Example:
      >>> raw = gradtx.tree.unwrap_random_key_data({"key": jax.random.key(0)})
      >>> print(raw["key"].dtype)
      uint32
    """

    def one(x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return x
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(one, input_tree)
