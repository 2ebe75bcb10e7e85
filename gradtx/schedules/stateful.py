"""Schedules that keep a state of their own."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from gradtx.common import numerics
from gradtx.common.types import Count, PyTree, Scalar, Schedule


@runtime_checkable
class StatefulSchedule(Protocol):
    """A hyperparameter computed from a state that every step updates."""

    def init(self) -> PyTree:
        """Make the state before any step."""
        ...

    def update(self, state: PyTree, **extra_args: Any) -> PyTree:
        """Return the state after one more step."""
        ...

    def __call__(self, state: PyTree, **extra_args: Any) -> Scalar:
        """Return the value at this state."""
        ...


class WrappedScheduleState(NamedTuple):
    """What :class:`WrappedSchedule` remembers: the number of steps taken."""

    count: Count


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WrappedSchedule:
    """A schedule of the step as a :class:`StatefulSchedule`, which counts the steps.

    Args:
      schedule_fn: from the number of steps taken to the value.

    Example:
      >>> schedule = gradtx.WrappedSchedule(gradtx.linear_schedule(1.0, 0.0, 4))
      >>> state = schedule.update(schedule.init())
      >>> print(schedule(state))
      0.75
    """

    schedule_fn: Schedule

    def init(self) -> WrappedScheduleState:
        """Start at step 0."""
        return WrappedScheduleState(jnp.zeros((), jnp.int32))

    def update(
        self, state: WrappedScheduleState, **extra_args: Any
    ) -> WrappedScheduleState:
        """Count one more step; the count saturates."""
        del extra_args
        return WrappedScheduleState(numerics.safe_increment(state.count))

    def __call__(self, state: WrappedScheduleState, **extra_args: Any) -> Scalar:
        """Return the value at this step."""
        del extra_args
        return self.schedule_fn(state.count)
