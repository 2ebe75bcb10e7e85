"""Keep the settings of an optimizer in its state, to be read and changed there."""

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.common import arguments, checks, numerics, spec
from gradtx.common.numerics import safe_increment
from gradtx.common.types import Count, DTypeLike, OptState, Params, PyTree, Updates
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.schedules.stateful import WrappedSchedule
from gradtx.wrappers.step import in_types, typed_like, widest

P = ParamSpec("P")


class InjectStatefulHyperparamsState(NamedTuple):
    """What a transformation of :func:`inject_hyperparams` remembers."""

    count: Count
    hyperparams: dict[str, jax.Array]  # those of the last step; of the first, in init
    hyperparams_states: dict[str, PyTree]  # the states of the schedules among them
    inner_state: OptState


def inject_hyperparams(
    inner_factory: Callable[P, Any],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: DTypeLike | None = None,
) -> Callable[P, GradientTransformation]:
    """Keep the numbers that a factory is given in the state.

    There they can be read (``state.hyperparams["learning_rate"]``), changed from step
    to step and scheduled, each of them: a setting may be a schedule, whose values then
    overwrite what was changed by hand. Every step makes the transformation anew from
    the numbers of the state.

    Change one by ``state = gradtx.tree.set(state, b2=0.95)``: it keeps the type of its
    place, so that a jitted step compiles nothing for it. ``state.hyperparams["b2"] =
    0.95`` works too, but to ``jit`` a number of Python's is of another type than an
    array, and the step is compiled a second time, with a warning;
    ``jnp.float32(0.95)`` avoids that.

    Numbers are kept in float32, in float64 for parameters in float64, or in the type of
    the array that was given. Flags, names, types, None, and in factories of this
    library whatever is annotated as part of the structure, are no such numbers.

    Args:
      inner_factory: any function that returns a transformation.
      static_args: names of arguments that are passed on as they are: counts that make
        structure, and functions that are no schedules. Factories of this library tell
        both by their annotations.
      hyperparam_dtype: the type to keep numbers in instead.

    Returns:
      A function with the arguments of ``inner_factory``, to type checkers too.

    Raises:
      ValueError: if there is no argument of a name in ``static_args``; what the factory
        refuses, it refuses here too.

    Example::

        tx = inject_hyperparams(adamw)(learning_rate=cosine_decay_schedule(1e-3, 1000))

    Example:
      >>> tx, params = (
      ...     gradtx.inject_hyperparams(gradtx.sgd)(learning_rate=0.1),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    names = {static_args} if isinstance(static_args, str) else set(static_args)
    return Injected(inner_factory, frozenset(names), hyperparam_dtype)


class Injected:
    """A factory whose transformations keep their numbers in the state."""

    value_type = GradientTransformation

    def __init__(
        self,
        inner_factory: Callable[..., Any],
        static_args: frozenset[str],
        hyperparam_dtype: DTypeLike | None,
    ) -> None:
        functools.update_wrapper(self, inner_factory)
        self.factory = _Factory((inner_factory, static_args, hyperparam_dtype))
        self.factory.public = self

    def __call__(self, *args: Any, **kwargs: Any) -> GradientTransformation:
        """Make the transformation from the arguments of the inner factory."""
        recipe = self.factory.recipe(*args, **kwargs)
        return self.value_type.from_recipe(recipe).checked()

    def __reduce__(self) -> Any:
        return inject_hyperparams, self.factory.origin


class _Factory(spec.Factory):
    """Known by what it was made of, so that equal calls make equal transformations."""

    def __init__(self, origin: tuple[Callable[..., Any], frozenset[str], Any]) -> None:
        super().__init__(origin[0])
        self.origin = origin
        inner, still, _ = origin
        while isinstance(inner, functools.partial):
            inner = inner.func
        self.name = f"inject_hyperparams({getattr(inner, '__name__', inner)})"
        self.make = self._make
        own = getattr(inner, "factory", None)
        self.own = own if isinstance(own, spec.Factory) else None
        self.ours = self.own is not None and self.own.ours
        self.fixed = (self.own.fixed if self.own else frozenset()) | still
        self.counts = self.own.counts if self.own else frozenset()
        unknown = sorted(still - set(self.signature.parameters))
        if unknown:
            raise checks.InvalidArgument(
                f"static_args: {self.name} has no argument {', '.join(unknown)}; "
                f"there are {', '.join(self.signature.parameters)}"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Factory) and self.origin == other.origin

    def __hash__(self) -> int:
        return hash(self.origin)

    def _make(self, *args: Any, **kwargs: Any) -> GradientTransformation:
        inner_factory, _, dtype = self.origin
        given = self.signature.bind(*args, **kwargs).arguments
        schedules = {k: _stateful(x) for k, x in given.items() if self._varies(k, x)}
        numbers = {k: x for k, x in given.items() if self._moves(k, x)}
        if self.own:
            made = inner_factory(*args, **kwargs)  # refuses wrong settings
            inner = _with_numbers(made, dict.fromkeys(schedules, 0.0))
            return _injected(_of_numbers(inner), numbers, schedules, dtype)

        def build(now: dict[str, Any]) -> GradientTransformation:
            bound = inspect.BoundArguments(self.signature, {**given, **now})  # type: ignore[arg-type]
            return with_extra_args_support(inner_factory(*bound.args, **bound.kwargs))

        return _injected(_numbered(build), numbers, schedules, dtype)

    def _moves(self, name: str, x: Any) -> bool:
        key = isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return numerics.holds_numbers(x) and not self.is_static(name, x) and not key

    def _varies(self, name: str, x: Any) -> bool:
        """Whether an argument is a schedule, not a function of another kind."""
        if name in self.fixed or not callable(x) or isinstance(x, type):
            return False
        parameter = self.signature.parameters[name]
        return self.own is None or arguments.may_be_number(parameter)


class _Numbered(NamedTuple):
    """The numbers of a step, the number of steps taken, and the state of the rest."""

    numbers: dict[str, jax.Array]
    count: Count
    inner_state: OptState


def _numbered(
    build: Callable[[dict[str, Any]], GradientTransformation],
) -> GradientTransformation:
    """Make a transformation of the numbers in the state, anew at every step."""

    def init(params: Any) -> OptState:
        params, numbers = params
        return build(numbers).init(params)

    def update(
        updates: Updates, state: _Numbered, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, _Numbered]:
        numbers, count, old = state
        new, inner_state = build(numbers).update(updates, old, params, **extra)
        # The numbers may have more bits than what they meet in foreign transformations.
        new = typed_like(updates if params is None else params, new)
        count, inner_state = safe_increment(count), typed_like(old, inner_state)
        return new, _Numbered(numbers, count, inner_state)

    return GradientTransformation(init, update)


@transformation
def _of_numbers(tx: GradientTransformation) -> GradientTransformation:
    """Do a step of ``tx`` with the numbers in the state in the place of its own."""
    return _numbered(functools.partial(_with_numbers, tx))


def _with_numbers(
    tx: GradientTransformation, numbers: dict[str, Any]
) -> GradientTransformation:
    """Replace numbers without a look at them, for which one would have to wait."""
    recipe: Any = tx.recipe
    return tx.from_recipe(spec.Recipe(recipe.factory, {**recipe.arguments, **numbers}))


def _stateful(schedule: Any) -> Any:
    if hasattr(schedule, "init") and hasattr(schedule, "update"):
        return schedule
    return WrappedSchedule(schedule)


def _injected(
    step: GradientTransformation,
    numbers: dict[str, Any],
    schedules: dict[str, Any],
    hyperparam_dtype: DTypeLike | None,
) -> GradientTransformation:
    def now(
        tree: PyTree, old: dict[str, Any], states: dict[str, Any], extra: dict[str, Any]
    ) -> dict[str, jax.Array]:
        dtype = hyperparam_dtype or widest(tree)
        kept = {name: old[name] for name in numbers}
        made = {name: f(states[name], **extra) for name, f in schedules.items()}
        types = {k: _kept_type(x, dtype) for k, x in (numbers | made).items()}
        return in_types(kept | made, types)

    def init(params: Params) -> InjectStatefulHyperparamsState:
        states = {name: f.init() for name, f in schedules.items()}
        hyperparams = {
            name: replicated_like(params, x)
            for name, x in now(params, numbers, states, {}).items()
        }
        return InjectStatefulHyperparamsState(
            count=zero_count(params),
            hyperparams=hyperparams,
            hyperparams_states=jax.tree.map(
                lambda x: replicated_like(params, x), states
            ),
            inner_state=step.init((params, hyperparams)),
        )

    def update(
        updates: Updates,
        state: InjectStatefulHyperparamsState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, InjectStatefulHyperparamsState]:
        _warn_of_python_numbers(state.hyperparams)
        states = state.hyperparams_states
        tree = updates if params is None else params
        hyperparams = now(tree, state.hyperparams, states, extra)
        numbered = _Numbered(hyperparams, state.count, state.inner_state)
        new, numbered = step.update(updates, numbered, params, **extra)
        states = {k: f.update(states[k], **extra) for k, f in schedules.items()}
        return new, InjectStatefulHyperparamsState(
            numbered.count, hyperparams, states, numbered.inner_state
        )

    return GradientTransformation(init, update)


def _warn_of_python_numbers(hyperparams: dict[str, Any]) -> None:
    """Warn that a step is compiled once more for a number that is no array."""
    found = [
        name for name, x in hyperparams.items() if isinstance(x, Tracer) and x.weak_type
    ]
    if found:
        warnings.warn(
            f"inject_hyperparams: {', '.join(found)} came into a compiled step as a "
            "number of Python's, of another type than the array before it: the step is "
            f"compiled again. Set it by gradtx.tree.set(state, {found[0]}=...), or as "
            "jnp.float32(...)",
            stacklevel=3,
        )


def _kept_type(number: Any, dtype: DTypeLike) -> Any:
    """Return the type to keep a number in: an array's own, or by its kind."""
    if isinstance(number, jax.Array) and not number.weak_type:
        return number.dtype
    if isinstance(number, np.generic) and not isinstance(number, float):
        return number.dtype
    if jnp.issubdtype(jax.dtypes.result_type(number), jnp.floating):
        return dtype
    return np.dtype(jax.dtypes.result_type(number))


# Names of before, for those who have them: the state's class serves `isinstance`.
InjectHyperparamsState = InjectStatefulHyperparamsState
inject_stateful_hyperparams = inject_hyperparams
