"""Schedules: functions from the number of steps taken to a hyperparameter; pytrees too."""

from importlib import import_module as _import_module
from typing import Any as _Any

from gradtx.common.types import Schedule as Schedule
from gradtx.schedules.cosine import cosine_decay_schedule as cosine_decay_schedule
from gradtx.schedules.exponential import exponential_decay as exponential_decay
from gradtx.schedules.join import join_schedules as join_schedules
from gradtx.schedules.onecycle import (
    cosine_onecycle_schedule as cosine_onecycle_schedule,
    linear_onecycle_schedule as linear_onecycle_schedule,
)
from gradtx.schedules.piecewise import (
    piecewise_constant_schedule as piecewise_constant_schedule,
    piecewise_interpolate_schedule as piecewise_interpolate_schedule,
)
from gradtx.schedules.polynomial import (
    constant_schedule as constant_schedule,
    linear_schedule as linear_schedule,
    polynomial_schedule as polynomial_schedule,
)
from gradtx.schedules.stateful import (
    StatefulSchedule as StatefulSchedule,
    WrappedSchedule as WrappedSchedule,
    WrappedScheduleState as WrappedScheduleState,
)
from gradtx.schedules.value import (
    ScheduleValue as ScheduleValue,
    schedule as schedule,
)
from gradtx.schedules.warmup import (
    sgdr_schedule as sgdr_schedule,
    warmup_constant_schedule as warmup_constant_schedule,
    warmup_cosine_decay_schedule as warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule as warmup_exponential_decay_schedule,
)

# Wrappers that are at home two floors up, since they hold transformations, and that
# optax has here too: looked for there only when somebody asks.
_HYPERPARAMS = (
    "InjectHyperparamsState",
    "InjectStatefulHyperparamsState",
    "inject_hyperparams",
    "inject_stateful_hyperparams",
)


def __getattr__(name: str) -> _Any:
    if name in _HYPERPARAMS:
        return getattr(_import_module("gradtx.wrappers.hyperparams"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
