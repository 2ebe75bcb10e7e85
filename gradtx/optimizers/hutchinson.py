"""Hutchinson's estimate of the diagonal of the Hessian, from one random vector."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import parted
from gradtx.common.types import DTypeLike, OptState, Params, PyTree, Updates
from gradtx.core.transformation import (
    GradientTransformation,
    init_empty_state,
    transformation,
)
from gradtx.lowering.closures import as_data
from gradtx.lowering.sharding import replicated_like
from gradtx.tree.packed import CALLS, unpacked_only
from gradtx.tree.random import random_like


class HutchinsonState(NamedTuple):
    """What :func:`hutchinson_estimator_diag_hessian` remembers."""

    key: jax.Array  # the key that the next signs are drawn with


@transformation
def hutchinson_estimator_diag_hessian(
    random_seed: jax.Array | int | None = None,
) -> GradientTransformation:
    """Replace the updates by an estimate of the diagonal of the Hessian.

        u = z ⊙ (H z)               z: random signs;  E[u] = diag(H)

    ``update`` wants the extra argument ``obj_fn``, the objective as a function of the
    parameters alone. For a complex parameter it is the mean curvature of its two parts.

    Args:
      random_seed: the random key to start from, or an integer to make one of; None
        means 0.

    Raises:
      ValueError: from ``update`` if it is given no parameters or no ``obj_fn``.

    Reference: Hutchinson, 1990, https://doi.org/10.1080/03610919008812866; Liu et al.,
      2023, https://arxiv.org/abs/2305.14342 (Algorithm 1)

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> params = jnp.ones(2)
      >>> tx = gradtx.contrib.hutchinson_estimator_diag_hessian()
      >>> updates, state = tx.update(params, tx.init(params), params, obj_fn=f)
      >>> print(updates)
      [2. 2.]
    """
    estimate = _estimate()

    def init(params: Params) -> OptState:
        unpacked_only(params, CALLS)
        seed = 0 if random_seed is None else random_seed
        return HutchinsonState(replicated_like(params, _key(seed)))

    def update(
        updates: Updates,
        state: HutchinsonState,
        params: Params | None = None,
        *,
        obj_fn: Any = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        del updates
        checks.require_params(params)
        checks.require_extra_arg("obj_fn", obj_fn)
        arrays, put = parted(params)
        arrays = list(map(jnp.asarray, arrays))
        change = partial(_change, lambda x: obj_fn(put(x)))
        with as_data(change, arrays, arrays) as change_fn:
            found, state = estimate.update(arrays, state, arrays, change_fn=change_fn)
        return put(found, alone=True), state

    return GradientTransformation(init, update)


@transformation
def _estimate() -> GradientTransformation:
    """Estimate by ``change_fn``, H z for the parameters and a direction z."""

    def update(
        updates: Updates,
        state: HutchinsonState,
        params: Params | None = None,
        *,
        change_fn: Any,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        del updates
        key, sample_key = jax.random.split(state.key)
        return _curvature(change_fn, params, sample_key), HutchinsonState(key)

    return GradientTransformation(init_empty_state, update)


def _key(seed: jax.Array | int) -> jax.Array:
    """Return a key of its own; one made of a number is of two numbers, as in optax."""
    if isinstance(seed, int):
        return jax.random.PRNGKey(seed)
    is_key = jnp.issubdtype(jnp.asarray(seed).dtype, jax.dtypes.prng_key)
    return jax.random.clone(seed) if is_key else jnp.array(seed)


def _change(obj_fn: Any, params: list[jax.Array], direction: PyTree) -> PyTree:
    """Return how the gradient changes along a direction."""
    return jax.jvp(jax.grad(obj_fn), (params,), (direction,))[1]


def _curvature(change_fn: Any, params: Any, key: jax.Array) -> PyTree:
    if not params:
        return params
    signs = jax.tree.map(_directed, params, random_like(key, params, _signs))
    change = change_fn(params, signs)
    return jax.tree.map(lambda h, z: jnp.real(h * z), change, signs)


def _signs(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """Draw signs; for a complex leaf a second one, that of the imaginary part."""
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        return jax.random.rademacher(key, shape, jnp.float32)
    keys = jax.random.split(key)
    parts = [jax.random.rademacher(k, shape, jnp.float32) for k in keys]
    return jax.lax.complex(*parts) * 0.5**0.5


def _directed(p: jax.Array, z: jax.Array) -> jax.Array:
    return z.astype(p.dtype)
