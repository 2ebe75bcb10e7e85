"""SM3: Adagrad that keeps one number for each row and each column."""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import abs_sq, ema, largest_square, safe_divide, sqrt
from gradtx.common.types import Scalar, ScalarOrSchedule, SecondMoment, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import totals, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.core.whole import of_whole_leaves
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.wrappers.chain import chain


class ScaleBySM3State(NamedTuple):
    """What :func:`scale_by_sm3` remembers."""

    mu: SecondMoment  # for every leaf a list, by axis, of the largest sums along it
    nu: Updates  # m, the mean of the updates


@transformation
def scale_by_sm3(
    b1: Scalar = 0.9, b2: Scalar = 1.0, eps: Scalar = 1e-8
) -> GradientTransformation:
    """Divide by the root of a bound on the sum of squares, kept by rows and columns.

        ν = β₂ min(the μᵢ that an entry lies in) + |g|²
        m ← β₁ m + (1 - β₁) g / √(ν + ε)              g / √(ν + ε) is 0 where ν is 0
        μᵢ ← the largest ν along all axes but the i-th
        u = m

    A matrix has a μ for its rows and one for its columns; a vector's μ is Adagrad's sum
    itself, and a scalar's too.

    Args:
      b1: β₁, how much of the mean update is kept at each step.
      b2: β₂; where it is not 1, |g|² is multiplied by 1 - β₂, for a mean of squares.
      eps: ε.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Anil et al., 2019, https://arxiv.org/abs/1901.11150 (SM3-II)

    Example:
      >>> tx, params = gradtx.scale_by_sm3(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.09999999  0.09999999]
       [ 0.         -0.09999999]]
    """
    checks.decay_rates(b1=b1)
    checks.unit_interval(b2=b2)
    checks.non_negative(eps=eps)

    def rule(
        g: jax.Array, sums: list[jax.Array], m: jax.Array
    ) -> tuple[jax.Array, list[jax.Array], jax.Array]:
        new = jnp.where(b2 == 1, 1.0, 1 - b2).astype(g.dtype) * abs_sq(g)
        total = b2 * _bound(sums, g.ndim) + new
        total = jnp.minimum(total, largest_square(total.dtype))
        root = jnp.where(total > 0, sqrt(total + eps), 0)
        m = ema(m, safe_divide(g, root), b1)
        return m, [_largest(total, i) for i in range(len(sums))], m

    return of_whole_leaves(
        leafwise(rule, ScaleBySM3State, elementwise=False, mu=_axis_sums, nu=zeros), 2
    )


def _axis_sums(p: jax.Array) -> list[jax.Array]:
    if jnp.iscomplexobj(p):
        raise checks.InvalidArgument(
            "complex parameters are not in the paper: wrap the optimizer in "
            "split_real_and_imaginary"
        )
    return [totals(p, axis=_others(i, p.ndim)) for i in range(max(p.ndim, 1))]


def _others(axis: int, ndim: int) -> tuple[int, ...]:
    return tuple(i for i in range(ndim) if i != axis)


def _bound(sums: list[jax.Array], ndim: int) -> jax.Array:
    """Return the smallest of the sums that each entry lies in."""
    spread = [jnp.expand_dims(s, _others(i, ndim)) for i, s in enumerate(sums)]
    return reduce(jnp.minimum, spread)


def _largest(total: jax.Array, axis: int) -> jax.Array:
    return jnp.max(total, axis=_others(axis, total.ndim), initial=0)


@transformation
def sm3(
    learning_rate: ScalarOrSchedule, momentum: Scalar = 0.9
) -> GradientTransformation:
    """SM3: :func:`scale_by_sm3` made an optimizer.

        p ← p - η m

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      momentum: β₁, how much of the mean update is kept at each step.

    Raises:
      ValueError: if the momentum is outside [0, 1) or the rate is not finite.

    Reference: Anil et al., 2019, https://arxiv.org/abs/1901.11150

    Example:
      >>> tx, params = gradtx.sm3(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.01 -0.01]
       [-0.    0.01]]
    """
    checks.decay_rates(momentum=momentum)
    return chain(scale_by_sm3(momentum), scale_by_learning_rate(learning_rate))
