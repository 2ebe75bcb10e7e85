"""Normal distributions with a scale for every entry."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


class MultiNormalDiagFromLogScale(NamedTuple):
    """A normal distribution of independent entries; made by :func:`multi_normal`.

    Example:
      >>> normal = gradtx.perturbations.MultiNormalDiagFromLogScale(
      ...     jnp.zeros(2), jnp.zeros(2)
      ... )
      >>> print(normal.log_prob(jnp.zeros(2)).round(3))
      -1.838
    """

    mean: jax.Array
    log_scale: jax.Array

    def sample(self, shape: tuple[int, ...], key: jax.Array) -> jax.Array:
        """Return independent samples: an array of ``shape`` + the parameters' shape."""
        whole = (*shape, *self._param_shape)
        noise = jax.random.normal(key, whole, jnp.result_type(*self))
        mean, log_scale = (jnp.broadcast_to(x, whole) for x in self)
        return mean + jnp.exp(log_scale) * noise

    def log_prob(self, x: jax.Array) -> jax.Array:
        """Return the logarithm of the density at x, over the parameters' axes."""
        whole = jnp.broadcast_shapes(jnp.shape(x), self._param_shape)
        x, mean, log_scale = (jnp.broadcast_to(a, whole) for a in (x, *self))
        z = (x - mean) * jnp.exp(-log_scale)
        each = -0.5 * z * z - log_scale - 0.5 * math.log(2 * math.pi)
        return jnp.sum(each, axis=tuple(range(-len(self._param_shape), 0)))

    @property
    def params(self) -> list[jax.Array]:
        """The mean and the logarithm of the scale."""
        return [self.mean, self.log_scale]

    @property
    def _param_shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(self.mean.shape, self.log_scale.shape)


def multi_normal(loc: jax.Array, log_scale: jax.Array) -> MultiNormalDiagFromLogScale:
    """Return the normal distribution with density ∏ᵢ N(xᵢ; μᵢ, exp(2 sᵢ)).

    It has ``sample(shape, key)``, ``log_prob(x)``, ``log_scale`` and ``params``.

    Args:
      loc: μ, the means.
      log_scale: s, the logarithms of the standard deviations; it broadcasts against
        ``loc``.

    Raises:
      ValueError: if the two do not broadcast.

    Example:
      >>> normal = gradtx.multi_normal(jnp.zeros(2), jnp.zeros(2))
      >>> print(normal.log_prob(jnp.zeros(2)).round(3))
      -1.838
    """
    mean, log_scale = map(_floating, (loc, log_scale))
    jnp.broadcast_shapes(mean.shape, log_scale.shape)
    return MultiNormalDiagFromLogScale(mean, log_scale)


def _floating(x: jax.Array) -> jax.Array:
    array = jnp.asarray(x)
    return array.astype(jnp.result_type(array, 0.0))
