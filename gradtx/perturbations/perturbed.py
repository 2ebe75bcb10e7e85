"""Perturbed functions: differentiable where the function is piecewise constant."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gradtx.common import checks, leaves, numerics
from gradtx.common.types import PyTree, Scalar
from gradtx.perturbations.noise import Gumbel, Noise


def make_perturbed_fun(
    fun: Callable[[PyTree], PyTree],
    num_samples: int = 1000,
    sigma: Scalar = 0.1,
    noise: Noise = Gumbel(),  # noqa: B008
    use_baseline: bool = True,
) -> Callable[[jax.Array, PyTree], PyTree]:
    """Return a random estimator of the smoothed function and of its derivatives.

        f_σ(x) = E f(x + σ z),        ∇f_σ(x) = E f(x + σ z) (-∇ log μ(z)) / σ

    for z from the noise μ. Only values of f enter, so f may be piecewise constant.
    Derivatives of any order, by JAX's own transformations, are unbiased estimates.

    Args:
      fun: f, from a tree of floating-point arrays to a tree of arrays.
      num_samples: how many samples to average.
      sigma: σ > 0, the scale of the noise.
      noise: μ, with ``sample(key, shape, dtype)`` and ``log_prob(inputs)``.
      use_baseline: whether to subtract f(x) from the samples in the derivatives, which
        keeps their mean and lowers their variance.

    Returns:
      A function of a random key and of what ``fun`` takes.

    Raises:
      ValueError: if num_samples is less than 1, sigma is not positive, or, when it is
        called, a leaf is not of floating-point numbers.

    References: Berthet et al., Learning with Differentiable Perturbed Optimizers, 2020.
      https://arxiv.org/abs/2002.08676; Foerster et al., DiCE, 2018.
      https://arxiv.org/abs/1802.05098

    Example:
      >>> soft = gradtx.perturbations.make_perturbed_fun(
      ...     lambda x: jax.nn.one_hot(jnp.argmax(x), 2)
      ... )
      >>> print(soft(jax.random.key(0), jnp.array([5.0, 0.0])))
      [1. 0.]
    """
    checks.positive_int(num_samples=num_samples)
    checks.positive(sigma=sigma)

    def perturbed(key: jax.Array, x: PyTree) -> PyTree:
        leaves.float_leaves(x, "the argument of the perturbed function")
        x = jax.tree.map(jnp.asarray, x)
        baseline = fun(jax.lax.stop_gradient(x)) if use_baseline else None

        def estimate(key: jax.Array) -> PyTree:
            moved, weight = _perturb(key, x, sigma, noise)
            value = _weighed(weight, fun(moved))
            if baseline is None:
                return value
            return jax.tree.map(jnp.add, value, _weighed(1 - weight, baseline))

        samples = jax.vmap(estimate)(jax.random.split(key, num_samples))
        types = jax.tree.map(_answer, jax.eval_shape(fun, x))
        return jax.tree.map(
            lambda f, dtype: jnp.mean(f, axis=0).astype(dtype), samples, types
        )

    return perturbed


def _answer(value: jax.Array | jax.ShapeDtypeStruct) -> jnp.dtype:
    """Return the type of a mean of such values."""
    inexact = jnp.issubdtype(value.dtype, jnp.inexact)
    return value.dtype if inexact else jnp.result_type(float)


def _weighed(weight: jax.Array, tree: PyTree) -> PyTree:
    def weigh(value: jax.Array) -> jax.Array:
        dtype = numerics.compute_dtype(_answer(value))
        return weight.astype(dtype) * value.astype(dtype)

    return jax.tree.map(lambda value: weigh(jnp.asarray(value)), tree)


def _perturb(
    key: jax.Array, x: PyTree, sigma: Scalar, noise: Noise
) -> tuple[PyTree, jax.Array]:
    """Return x + σ z, held fixed, and 1, with the slope of log μ at its z."""
    leaves, treedef = jax.tree.flatten(x)
    keys = jax.random.split(key, len(leaves))
    moved, log_density = [], jnp.zeros(())
    for each, p in zip(keys, leaves, strict=True):
        z = noise.sample(each, p.shape, p.dtype)
        fixed = jax.lax.stop_gradient(p)
        moved.append((fixed + sigma * z).astype(p.dtype))
        # (fixed + σ z - p) / σ has the value of z, and the slope of p.
        seen = (z + (fixed - p) / sigma).astype(numerics.compute_dtype(p.dtype))
        log_density += jnp.sum(noise.log_prob(seen)).astype(log_density.dtype)
    weight = jnp.exp(log_density - jax.lax.stop_gradient(log_density))
    return treedef.unflatten(moved), weight
