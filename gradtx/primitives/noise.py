"""Noise that fades from the updates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.leaves import parted
from gradtx.common.types import Count, OptState, Params, PyTree, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.lowering.varying import own_key


class AddNoiseState(NamedTuple):
    """What :func:`add_noise` remembers."""

    count: Count
    rng_key: jax.Array  # the key that the next step's noise is drawn with


class _Noise(NamedTuple):
    z: PyTree


@transformation
def add_noise(
    eta: Scalar,
    gamma: Scalar,
    key: jax.Array | int | None = None,
    *,
    seed: int | None = None,
) -> GradientTransformation:
    """Add Gaussian noise that fades with the steps.

        u = g + z,    z ~ N(0, η / tᵞ)             t = 1 at the first step

    Complex noise has that variance in all, a half in either part. Within
    ``jax.shard_map`` leaves that differ between devices get different noise.

    Args:
      eta: η, the variance of the first step's noise.
      gamma: γ, how fast the variance falls.
      key: the random key to start from, or an integer to make one of; None means 0.
      seed: an older name of ``key``.

    Raises:
      ValueError: if η is negative or γ not finite, or if both ``key`` and ``seed`` are
        given.

    Reference: Neelakantan et al., 2015, https://arxiv.org/abs/1511.06807 (section 3)

    Example:
      >>> tx, params = gradtx.add_noise(0.0, 0.55, jax.random.key(0)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    checks.non_negative(eta=eta)
    checks.finite(gamma=gamma)
    if key is not None and seed is not None:
        raise checks.InvalidArgument("give either key or its older name seed, not both")
    start = seed if key is None else key
    add = leafwise(lambda g, z, *, std: (g + std * z, z), _Noise, z=jnp.zeros_like)

    def init(params: Params) -> OptState:
        rng_key = replicated_like(params, random_key(0 if start is None else start))
        return AddNoiseState(zero_count(params), rng_key)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        count = numerics.safe_increment(state.count)
        rng_key, sample_key = jax.random.split(state.rng_key)
        std = numerics.sqrt(eta / count**gamma)
        noise = _Noise(_normal_like(sample_key, updates))
        updates, _noise = add.update(updates, noise, params, std=std)
        return updates, AddNoiseState(count, rng_key)

    return GradientTransformation(init, update)


def random_key(key: Any) -> jax.Array:
    """Return a random key of its own, so that a donated state does not take ours."""
    if isinstance(key, int):
        return jax.random.key(key)
    key = jnp.asarray(key)
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return jax.random.clone(key)
    if key.ndim:
        return jax.random.wrap_key_data(jnp.copy(key))
    return jax.random.key(key.astype(jnp.int32))


def _normal_like(key: jax.Array, tree: PyTree) -> PyTree:
    """Draw standard normal numbers, in at least float32, for every gradient."""
    leaves, put = parted(tree)
    keys = jax.random.split(key, len(leaves))
    draws = [normal_like(k, x) for k, x in zip(keys, leaves, strict=True)]
    return put(draws, alone=True)


def normal_like(key: jax.Array, x: Any) -> jax.Array:
    """Draw standard normal numbers, in at least float32, for one array."""
    dtype = numerics.compute_dtype(jnp.result_type(x))
    return jax.random.normal(own_key(key, x), jnp.shape(x), dtype)
