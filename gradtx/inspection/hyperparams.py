"""The current values of the settings of a transformation."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import arguments, checks, numerics, spec
from gradtx.common.types import Count, OptState
from gradtx.inspection.parts import name_of, parts
from gradtx.schedules.value import ScheduleValue
from gradtx.tree.placeholders import known_placeholder
from gradtx.tree.state import get
from gradtx.wrappers.accumulate import MultiStepsState
from gradtx.wrappers.hyperparams import InjectStatefulHyperparamsState

Place = tuple[str, ...]


class Setting(NamedTuple):
    """A number that a transformation was given, or a schedule of one.

    Args:
      place: the names of the parts around it.
      name: the name of the argument.
      given: what was given.
      now: its value at the next step.
    """

    place: Place
    name: str
    given: Any
    now: Any

    @property
    def address(self) -> str:
        """The place and the name in one."""
        return "/".join((*self.place, self.name))


def hyperparams(tx: Any, state: OptState) -> dict[str, Any]:
    """Return the current value of every setting of a transformation that is a number.

    Current is the value that the next ``update`` with this state uses: a schedule is
    evaluated at the count of steps in the state, and a number that
    :func:`gradtx.inject_hyperparams` keeps in the state is read there. It is found
    through ``chain``, ``partition``, ``accumulate``, ``lookahead`` and every other
    factory that was given transformations, with an eager state or within ``jit``.

    Flags, names, types, masks and settings of None are not numbers;
    :func:`gradtx.describe` shows them. What is within a transformation that was made by
    hand or by another library is not known.

    Args:
      tx: a transformation.
      state: its state, as ``init`` or ``update`` returned it.

    Returns:
      The values by their addresses: the name of the setting, after the labels of the
      parts it is in, with slashes between them. A part of ``chain`` is labelled by its
      factory's name (and its position, where two have the same), one of
      ``named_chain``, ``partition`` or ``by_path`` by the name or pattern that it was
      given with, and any other by the name of the argument.

    Raises:
      ValueError: if the transformation does not know how it was made, or the state is
        that of another one.

    Example::

        tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(schedule))
        gradtx.hyperparams(tx, state)
        # {"clip_by_global_norm/max_norm": 1.0, "sgd/learning_rate": Array(0.1), ...}

    Example:
      >>> tx = gradtx.sgd(0.1)
      >>> print(gradtx.hyperparams(tx, tx.init(jnp.ones(2))))
      {'learning_rate': 0.1}
    """
    _known(tx, "hyperparams")
    return {x.address: x.now for x in _settings(tx, state)}


def learning_rate(tx: Any, state: OptState) -> Any:
    """Return the learning rate that the next step uses.

    It is the setting named ``learning_rate``, which :func:`hyperparams` would find;
    what other parts multiply the updates by is not in it.

    Args:
      tx: a transformation.
      state: its state, as ``init`` or ``update`` returned it.

    Raises:
      ValueError: if no part has a learning rate, or several parts have different ones;
        their addresses are named.

    Example:
      >>> tx = gradtx.adam(gradtx.linear_schedule(0.1, 0.0, 10))
      >>> print(gradtx.learning_rate(tx, tx.init(jnp.ones(2))))
      0.1
    """
    _known(tx, "learning_rate")
    found = rates(tx, state)
    if not found:
        raise checks.InvalidArgument(
            f"learning_rate: no part of {name_of(tx)} has a setting of that name; "
            "hyperparams(tx, state) shows those that there are"
        )
    first, *others = found
    if any(not _same(x.given, first.given) for x in others):
        raise checks.InvalidArgument(
            "learning_rate: several parts have one of their own, at "
            f"{', '.join(repr(x.address) for x in found)}: choose one of "
            "hyperparams(tx, state)"
        )
    return first.now


def rates(tx: Any, state: OptState, place: Place = ()) -> list[Setting]:
    """Return the learning rates: a transformation's own, or else those of its parts."""
    if not spec.is_value(tx):
        return []
    own = [x for x in _own(tx, state, place) if x.name == "learning_rate"]
    if own:
        return own
    found = [
        x
        for part, inner in _within(tx, state)
        for x in rates(part.tx, inner, (*place, part.label))
    ]
    made = tx.recipe.product
    return found or (rates(made, state, place) if spec.is_value(made) else [])


def _known(tx: Any, who: str) -> None:
    if not spec.is_value(tx):
        raise checks.InvalidArgument(
            f"{who}: nothing is known of {tx!r}, which no factory made that remembers "
            "its arguments: put gradtx.transformation around the function that makes it"
        )


def _settings(tx: Any, state: OptState, place: Place = ()) -> Iterator[Setting]:
    """Yield the settings of a transformation and of its parts, the outer ones first.

    One that was given nothing is what its factory made.
    """
    if not spec.is_value(tx):
        return
    own, within = _own(tx, state, place), _within(tx, state)
    yield from own
    for part, inner in within:
        yield from _settings(part.tx, inner, (*place, part.label))
    if not own and not within:
        yield from _settings(tx.recipe.product, state, place)


def _own(tx: Any, state: OptState, place: Place) -> list[Setting]:
    parameters = tx.recipe.factory.signature.parameters
    return [
        Setting(place, name, given, _now(tx, state, name, given))
        for name, given in tx.recipe.arguments.items()
        if _is_setting(parameters[name], given)
    ]


def _is_setting(parameter: Any, given: Any) -> bool:
    if numerics.holds_numbers(given):
        return not numerics.is_constant(given) and not _is_key(given)
    return is_schedule(parameter, given)


def is_schedule(parameter: Any, given: Any) -> bool:
    """Whether what was given for a parameter is a schedule."""
    if isinstance(given, ScheduleValue):
        return True
    plain = callable(given) and not isinstance(given, type)
    return plain and arguments.may_be_schedule(parameter)


def _is_key(x: Any) -> bool:
    extended = jax.dtypes.extended
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, extended)


def _now(tx: Any, state: OptState, name: str, given: Any) -> Any:
    """Return the value of a setting at the next step."""
    if isinstance(state, InjectStatefulHyperparamsState) and name in state.hyperparams:
        if name not in state.hyperparams_states:
            return state.hyperparams[name]
        schedule_state = state.hyperparams_states[name]
        stateful = hasattr(given, "init") and hasattr(given, "update")
        return given(schedule_state) if stateful else given(schedule_state.count)
    if not callable(given):
        return given
    count = next(_counts(tx, state, given), None)
    if count is None:
        raise checks.InvalidArgument(
            f"hyperparams: {name_of(tx)} was given a schedule for {name!r}, but its "
            f"state, a {type(state).__name__}, holds no count of the steps"
        )
    return given(count)


def _counts(tx: Any, state: OptState, schedule: Any) -> Iterator[Count]:
    """Yield the counts that a schedule may be called with, the innermost part's first.

    Those are of the parts that it was handed on to.
    """
    if not spec.is_value(tx):
        return
    made = tx.recipe.product
    if spec.is_value(made):
        yield from _counts(made, state, schedule)
    for part, inner in _within(tx, state):
        yield from _counts(part.tx, inner, schedule)
    if any(x is schedule for x in tx.recipe.arguments.values()):
        count = _count(state)
        if count is not None:
            yield count


def _count(state: OptState) -> Count | None:
    if isinstance(state, MultiStepsState):
        return state.gradient_step
    count = get(state, "count")
    return get(state, "t") if count is None else count


def _within(tx: Any, state: OptState) -> list[tuple[Any, OptState]]:
    """Return the parts of a transformation, each with its state."""
    found = parts(tx, known_placeholder())
    return [(x, x.state(state)) for x in found if x.path is not None]


def _same(x: Any, y: Any) -> bool:
    if callable(x) or callable(y):
        return x is y or bool(x == y)
    return arguments.key(x) == arguments.key(y)
