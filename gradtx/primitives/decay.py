"""Weight decay."""

from typing import Any

import jax

from gradtx.common import checks, numerics
from gradtx.common.types import MaskOrFn, OptState, Params, ScalarOrSchedule, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.masking import restrict
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.sharding import zero_count
from gradtx.primitives.scale import ScaleByScheduleState

AddDecayedWeightsState = EmptyState


@transformation
def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0, mask: MaskOrFn | None = None
) -> GradientTransformation:
    """Add the parameters, times a number, to the updates.

        u = g + λ p

    Before the learning rate's minus sign this pulls the parameters towards zero. Placed
    after a method's direction it is decoupled weight decay; placed before it, an L2
    penalty.

    Args:
      weight_decay: λ, or a schedule of the number of steps taken.
      mask: a tree of booleans shaped like the parameters (or a prefix of them), or a
        function from the parameters to one; only where it is True does the leaf decay.

    Raises:
      ValueError: if λ is negative; from ``update`` if it is given no parameters.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101
    """
    checks.non_negative(weight_decay=weight_decay)
    tx = _unmasked(weight_decay)
    return tx if mask is None else restrict(tx, mask)


@transformation
def _add() -> GradientTransformation:
    """Add the parameters times the extra argument ``decay``."""
    return leafwise(_sum, EmptyState)


def _sum(g: jax.Array, *, p: jax.Array, decay: Any) -> jax.Array:
    return g + decay * p


@transformation
def _add_and_count() -> GradientTransformation:
    """Do as :func:`_add`, and count the steps."""
    add = leafwise(_sum, EmptyState)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        updates, _empty = add.update(updates, EmptyState(), params, **extra)
        return updates, ScaleByScheduleState(numerics.safe_increment(state.count))

    return GradientTransformation(add.init, update)


_ADD, _ADD_AND_COUNT = _add(), _add_and_count()


def _unmasked(weight_decay: ScalarOrSchedule) -> GradientTransformation:
    counts = callable(weight_decay)
    add = _ADD_AND_COUNT if counts else _ADD

    def init(params: Params) -> OptState:
        return ScaleByScheduleState(zero_count(params)) if counts else add.init(params)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        decay = numerics.value_at(weight_decay, getattr(state, "count", None))
        return add.update(updates, state, params, decay=decay)

    return GradientTransformation(init, update)
