"""Updates saved up and given out together."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, OptState, Params, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import wide_zeros
from gradtx.core.transformation import GradientTransformation, transformation


class ApplyEvery(NamedTuple):
    """What :func:`apply_every` remembers."""

    count: Count  # of the updates saved up, from 0 to k - 1
    grad_acc: Updates  # their sum, in at least float32


@transformation
def apply_every(k: Scalar = 1) -> GradientTransformation:
    """Add up k updates, and give out their sum at every k-th step and 0 before.

    What stands before it in a chain runs at every step. To have an optimizer see the
    mean gradient of k steps, wrap it in ``MultiSteps``.

    Args:
      k: how many updates to add up.

    Raises:
      ValueError: if k is not a whole number of at least 1.

    Example:
      >>> tx, params = gradtx.apply_every(2), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [0. 0.]
    """
    checks.positive_int(k=k)

    def rule(g: jax.Array, total: jax.Array, *, at: Any) -> tuple[jax.Array, ...]:
        total = jnp.where(at == 0, g, total + g)
        return jnp.where(at == k - 1, total, 0), total

    add = leafwise(rule, ApplyEvery, grad_acc=wide_zeros)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        updates, new = add.update(updates, state, params, at=state.count)
        # A modulus by a traced k might be of another type than the count.
        count = jnp.where(new.count >= k, 0, new.count)
        return updates, new._replace(count=count)

    return GradientTransformation(add.init, update)
