"""Noise distributions."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp


class Noise(Protocol):
    """A distribution of independent entries, known up to a factor of its density."""

    def sample(
        self, key: jax.Array, sample_shape: tuple[int, ...] = ..., dtype: Any = ...
    ) -> jax.Array:
        """Return independent samples."""
        ...

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """Return the logarithm of the density at each entry, up to a constant."""
        ...


@dataclasses.dataclass(frozen=True)
class Normal:
    """The standard normal distribution, with a density ∝ exp(-x²/2).

    Example:
      >>> print(gradtx.perturbations.Normal().log_prob(jnp.zeros(1)).round(3))
      [-0.]
    """

    def sample(
        self, key: jax.Array, sample_shape: tuple[int, ...] = (), dtype: Any = float
    ) -> jax.Array:
        """Return independent samples of a shape and type."""
        return jax.random.normal(key, sample_shape, dtype)

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """Return -x²/2, the logarithm of the density without its constant."""
        return -0.5 * inputs**2


@dataclasses.dataclass(frozen=True)
class Gumbel:
    """The standard Gumbel distribution, with a density exp(-x - exp(-x)).

    With it, a perturbed argmax is the softmax.

    Example:
      >>> print(gradtx.perturbations.Gumbel().sample(jax.random.key(0), (3,)).shape)
      (3,)
    """

    def sample(
        self, key: jax.Array, sample_shape: tuple[int, ...] = (), dtype: Any = float
    ) -> jax.Array:
        """Return independent samples of a shape and type."""
        return jax.random.gumbel(key, sample_shape, dtype)

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """Return -x - exp(-x), the logarithm of the density."""
        return -inputs - jnp.exp(-inputs)
