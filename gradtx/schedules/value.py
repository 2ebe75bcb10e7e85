"""A schedule: a function of the step that remembers how it was made."""

from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, Self

import jax
import numpy as np

from gradtx.common import checks, spec, value_pytree
from gradtx.common.types import Count

P = ParamSpec("P")

_LARGEST = 2**31 - 1


class ScheduleValue(spec.Value):
    """A number that changes with the step: ``value = schedule(count)``.

    ``count`` is the number of steps already taken, 0 at the first: an integer, a float,
    or an array of either, traced or not. The value has the shape of ``count``. It is a
    float32, a float64 where JAX is told to use 64 bits, and right to the last bits for
    any count, as counts are subtracted and divided before they are rounded.

    It prints as it was written, equals what was made alike, hashes, pickles, is changed
    by ``replace``, and is a pytree whose leaves are its numbers.

    Args:
      recipe: the factory, which makes a function of the count, and its arguments by
        name.

    Example:
      >>> schedule = gradtx.linear_schedule(1.0, 0.0, 4)
      >>> isinstance(schedule, gradtx.ScheduleValue), float(schedule(3))
      (True, 0.25)
    """

    def __init__(self, recipe: spec.Recipe) -> None:
        self.recipe = recipe

    @classmethod
    def from_recipe(cls, recipe: spec.Recipe) -> Self:
        """Make the schedule that ``recipe`` describes, when it is first used."""
        given = recipe.arguments
        arguments = {name: _movable(x) for name, x in given.items()}
        if all(arguments[name] is x for name, x in given.items()):
            return cls(recipe)
        return cls(spec.Recipe(recipe.factory, arguments))

    def __call__(self, count: Count) -> jax.Array:
        """Return the value after ``count`` steps."""
        recipe: Any = self.recipe
        value_at, owners = recipe.built
        with checks.named(*owners):
            return value_at(_within_int32(count))


value_pytree.register(ScheduleValue)


def schedule(make: Callable[P, Callable[[Any], Any]]) -> Callable[P, ScheduleValue]:
    """Make a factory's schedules values; use it as a decorator.

    As :func:`gradtx.transformation` does for transformations: the numbers among the
    arguments become the leaves, so the factory must not branch on a number.

    Args:
      make: a function that returns a function of the count.

    Example::

        @schedule
        def inverse_root_schedule(init_value: Scalar, warmup_steps: Scalar) -> Schedule:
            return lambda count: init_value / jnp.sqrt(1 + count / warmup_steps)

    Example:
      >>> @gradtx.schedule
      ... def inverse_root(init_value):
      ...     return lambda count: init_value / jnp.sqrt(1 + count)
      >>> print(inverse_root(0.1), inverse_root(0.1)(3))
      inverse_root(init_value=0.1) 0.05
    """
    return spec.remembered(make, ScheduleValue)


def _movable(argument: Any) -> Any:
    """Bring an argument into a form in which jit can take all of its numbers."""
    if isinstance(argument, Iterator):  # read it once: it is used again and again
        argument = list(argument)
    if _is_by_step(argument):  # its keys would be structure
        argument = tuple(sorted(argument.items()))
    leaves, treedef = jax.tree.flatten(argument, is_leaf=spec.is_value)
    within = [_within_int32(x) for x in leaves]
    same = all(x is y for x, y in zip(within, leaves, strict=True))
    return argument if same else treedef.unflatten(within)


def _is_by_step(argument: Any) -> bool:
    if not isinstance(argument, dict) or not argument:
        return False
    return all(isinstance(key, int | float | np.number) for key in argument)


def _within_int32(x: Any) -> Any:
    """Turn whole numbers that JAX has no integers for into floats."""
    if isinstance(x, int) and abs(x) > _LARGEST:
        return float(x)
    if isinstance(x, np.integer | np.ndarray) and x.dtype.kind in "iu":
        return x * 1.0 if np.any(np.abs(x) > _LARGEST) else x
    return x
