"""Adagrad: divide the gradient by the root of all its squares so far."""

from functools import partial
from typing import NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import add_squares, inverse_sqrt
from gradtx.common.types import Scalar, ScalarOrSchedule, SecondMoment
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.wrappers.chain import descend


class ScaleByRssState(NamedTuple):
    """What :func:`scale_by_rss` remembers."""

    sum_of_squares: SecondMoment  # G


@transformation
def scale_by_rss(
    initial_accumulator_value: Scalar = 0.1, eps: Scalar = 1e-7
) -> GradientTransformation:
    """Divide the gradient by the root of the sum of its squares.

        G ← G + |g|²
        u = g / √(G + ε)             0 where the root is

    Args:
      initial_accumulator_value: what G starts from.
      eps: ε, inside the root.

    Raises:
      ValueError: if either is negative.

    Reference: Duchi et al., 2011, https://jmlr.org/papers/v12/duchi11a.html

    Example:
      >>> tx, params = gradtx.scale_by_rss(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.98800004 -0.95300007]
    """
    checks.non_negative(initial_accumulator_value=initial_accumulator_value, eps=eps)

    def rule(g: jax.Array, total: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = add_squares(total, g)
        return inverse_sqrt(total + eps) * g, total

    slot = partial(squares, fill=initial_accumulator_value)
    return leafwise(rule, ScaleByRssState, sum_of_squares=slot)


@transformation
def adagrad(
    learning_rate: ScalarOrSchedule,
    initial_accumulator_value: Scalar = 0.1,
    eps: Scalar = 1e-7,
) -> GradientTransformation:
    """Adagrad: :func:`scale_by_rss` made an optimizer by :func:`descend`.

    Every coordinate's step shrinks with what that coordinate has seen, so rare ones
    keep long steps.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      initial_accumulator_value: what the sum of squares starts from, at least 0.
      eps: ε, at least 0, inside the root.

    Example:
      >>> tx, params = gradtx.adagrad(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.09900001  0.09500001]
    """
    return descend(scale_by_rss(initial_accumulator_value, eps), learning_rate)
