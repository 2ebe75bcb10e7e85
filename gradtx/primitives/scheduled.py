"""A rule whose numbers may change from step to step."""

from collections.abc import Callable
from typing import Any

from gradtx.common import numerics
from gradtx.common.types import OptState, Params, ScalarOrSchedule, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.lowering.sharding import zero_count
from gradtx.primitives.scale import ScaleByScheduleState


def scheduled(
    rule: Callable[..., Any], **settings: ScalarOrSchedule
) -> GradientTransformation:
    """Make a transformation of a rule for one array that names its numbers.

        u = rule(g, p=param, **settings)

    Where one of the settings is a schedule, the state counts the steps; otherwise
    there is none.

    Args:
      rule: as :func:`gradtx.leafwise` takes it, without slots. Outside of ``jit`` it is
        compiled if it is a function of a module, whose surroundings do not change.
      **settings: for each number that the rule names, its value, or a schedule of the
        number of steps taken.
    """
    apply = _applied(rule)
    counts = any(callable(value) for value in settings.values())

    def init(params: Params) -> OptState:
        empty = apply.init(params)
        return ScaleByScheduleState(zero_count(params)) if counts else empty

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        count = state.count if counts else None
        now = {k: numerics.value_at(x, count) for k, x in settings.items()}
        updates, _empty = apply.update(updates, EmptyState(), params, **now)
        if not counts:
            return updates, state
        return updates, ScaleByScheduleState(numerics.safe_increment(count))

    return GradientTransformation(init, update)


@transformation
def _applied(rule: Callable[..., Any]) -> GradientTransformation:
    """Apply a rule to the numbers that come as extra arguments."""
    return leafwise(rule, EmptyState)
