"""What all methods of a comparison have alike: steps, seeds, and the rate's course."""

from collections.abc import Callable
from typing import Any, NamedTuple

from gradtx.common.checks import InvalidArgument
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.schedules import warmup_cosine_decay_schedule

Course = Callable[[Scalar, int], ScalarOrSchedule]
Build = Callable[[dict[str, Any]], Any]
"""Makes the optimizer of one point of a sweep, whose numbers may be traced."""


def _constant(rate: Scalar, steps: int) -> ScalarOrSchedule:
    """Return the rate itself."""
    del steps
    return rate


def _warmup_cosine(rate: Scalar, steps: int) -> ScalarOrSchedule:
    """Rise for a tenth of the steps, then fall to nothing like a cosine."""
    return warmup_cosine_decay_schedule(0.0, rate, steps // 10, max(steps, 2))


COURSES: dict[str, Course] = {"constant": _constant, "warmup_cosine": _warmup_cosine}


class Protocol(NamedTuple):
    """What a comparison holds fixed for all of its methods."""

    steps: int
    seeds: int
    schedule: str | Course
    search: str
    """How the best rate is looked for: ``"grid"`` or ``"bisect"``."""

    @property
    def course(self) -> str:
        """What the learning rate does over the steps, for the report."""
        if self.schedule == "constant":
            return "a constant learning rate"
        if self.schedule == "warmup_cosine":
            return "a rate that rises for a tenth of the steps and falls like a cosine"
        name = getattr(self.schedule, "__name__", str(self.schedule))
        return f"the schedule {name} of the learning rate"

    def build(self, method: Callable, point: dict[str, Any]) -> Any:
        """Make a method's optimizer with the settings of one point of its sweep."""
        settings = dict(point)
        rate = settings.pop("learning_rate")
        course = self.schedule
        shape = COURSES[course] if isinstance(course, str) else course
        return method(shape(rate, self.steps), **settings)


def protocol(steps: int, seeds: int, schedule: str | Course, search: str) -> Protocol:
    """Check what a comparison holds fixed, and give it.

    Raises:
      ValueError: if a number is not a whole one of at least 1, or a name is unknown.
    """
    for name, count in (("steps", steps), ("seeds", seeds)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InvalidArgument(
                f"{name}: must be a whole number of at least 1, got {count!r}"
            )
    if not callable(schedule) and schedule not in COURSES:
        raise InvalidArgument(
            f"schedule: there are {', '.join(COURSES)}, or give a function of the rate "
            f"and the number of steps; got {schedule!r}"
        )
    if search not in ("grid", "bisect"):
        raise InvalidArgument(f'search: must be "grid" or "bisect", got {search!r}')
    return Protocol(steps, seeds, schedule, search)
