"""Weight decay of what the step led to."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import (
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    ScalarOrSchedule,
    Static,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.masking import restrict
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.sharding import zero_count
from gradtx.primitives.scale import ScaleByScheduleState


@transformation
def decay_after_step(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    *,
    rate_factors: Static = None,
) -> GradientTransformation:
    """Decay the parameters after the step: the last link of a chain.

        p ← (1 - η λ) (p + u)              so that u ← u - η λ (p + u)

    Where :func:`add_decayed_weights` before the learning rate decays the parameters
    that the gradient was taken at, this decays those that the step leads to, as do the
    programs of SOAP, its relatives and SPlus. The two differ by η² λ u.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      weight_decay: λ, or a schedule of the number of steps taken.
      mask: a tree of booleans shaped like the parameters (or a prefix of them), or a
        function from the parameters to one; only where it is True does the leaf decay.
      rate_factors: where the learning rate is another for every leaf, what η is
        multiplied with: a function from the updates to a tree of numbers.

    Raises:
      ValueError: if a number is negative; from ``update`` if it is given no parameters.

    Example:
      >>> tx, params = (
      ...     gradtx.chain(gradtx.scale(-0.1), gradtx.decay_after_step(0.1, 0.1)),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.208  0.089]
    """
    checks.non_negative(learning_rate=learning_rate, weight_decay=weight_decay)
    tx = _unmasked(learning_rate, weight_decay, rate_factors)
    return tx if mask is None else restrict(tx, mask)


class _Factor(NamedTuple):
    factor: PyTree


def _unmasked(
    learning_rate: ScalarOrSchedule, weight_decay: ScalarOrSchedule, factors: Any
) -> GradientTransformation:
    counts = callable(learning_rate) or callable(weight_decay)

    def rule(u: jax.Array, factor: Any, *, p: jax.Array, decay: Any) -> Any:
        return u - jnp.asarray(decay * factor, u.dtype) * (p + u), factor

    shrink = leafwise(rule, _Factor, factor=lambda _: jnp.ones(()))

    def init(params: Params) -> OptState:
        return ScaleByScheduleState(zero_count(params)) if counts else EmptyState()

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        count = state.count if counts else 0
        rate = numerics.value_at(learning_rate, count)
        decay = rate * numerics.value_at(weight_decay, count)
        found = (
            jax.tree.map(lambda _: 1.0, updates) if not factors else factors(updates)
        )
        given = _Factor(jax.tree.map(partial(jnp.asarray, dtype=float), found))
        updates, _given = shrink.update(updates, given, params, decay=decay)
        if counts:
            state = ScaleByScheduleState(numerics.safe_increment(count))
        return updates, state

    return GradientTransformation(init, update)
