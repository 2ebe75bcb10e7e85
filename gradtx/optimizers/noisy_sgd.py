"""Noisy SGD: gradient descent that is shaken, less and less."""

import jax

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.noise import add_noise
from gradtx.wrappers.chain import descend


@transformation
def noisy_sgd(
    learning_rate: ScalarOrSchedule,
    eta: Scalar = 0.01,
    gamma: Scalar = 0.55,
    key: jax.Array | int | None = None,
    *,
    seed: int | None = None,
) -> GradientTransformation:
    """Noisy SGD: step against the gradient and the noise of :func:`add_noise`.

        p ← p - η (g + z),    z ~ N(0, eta / tᵞ)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      eta: the variance of the first step's noise.
      gamma: γ, how fast the variance falls.
      key: the random key to start from, or an integer to make one of; None means 0.
      seed: an older name of ``key``.

    Raises:
      ValueError: if ``eta`` is negative or the learning rate not finite.

    Reference: Neelakantan et al., 2015, https://arxiv.org/abs/1511.06807

    Example:
      >>> tx, params = gradtx.noisy_sgd(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.202  0.108]
    """
    return descend(add_noise(eta, gamma, key, seed=seed), learning_rate)
