"""What `update` does outside of jit: one compiled program for each structure.

A transformation is a pytree (:mod:`gradtx.common.spec`): its leaves are its numbers,
and all the rest, factories, flags, names and parts, is its structure. So a program is
compiled for the structure (:func:`_program`), and the numbers are arguments of it::

    adam(1e-3).update(...)      compiles
    adam(1e-3).update(...)      made anew: the same program
    adam(2e-3).update(...)      another number: the same program
    adam(2e-3, nesterov=True)   another structure: compiles

Nothing that `update` was given is kept. A number that is passed on as data is rounded
to float32, where 1 - 0.999 would be wrong from the fifth digit on; what it lost is
passed on beside it (:func:`gradtx.common.numerics.known_rests`), so that a step is the
same whether it is jitted or not. All numbers of Python go in one array, as each
argument of a program takes some microseconds at every call.

*What is compiled* is made of this library's factories and of known numbers
(:func:`is_closed`), because all that those do can be traced. A function of the user's
cannot: it may branch on its numbers in Python, index a list with them, print, or look
at something that has changed since the last step. What holds one, or a pair or a
factory of someone else, is therefore run as it stands, in Python, at every call; its
parts that hold none are transformations themselves, and each of them is compiled. So
`chain(theirs, adamw(1e-3))` runs as two pieces.

*Callbacks come first.* A wrapper that asks the user something at every step (whether to
take it, how many gradients to add up, the rate of this step) has two halves. The outer
one, which holds the function, calls it with the numbers of the state as they are; the
inner one is a transformation without it, which is given the answer as data, and can be
compiled. Under `jit` both halves are traced alike.

*Functions among the extra arguments* (`value_fn`, `obj_fn`, `grad_fn`: their names end
in `_fn`) are needed within loops, which only know programs. Whoever needs one traces it
once a call and passes it on as data, see :mod:`gradtx.lowering.closures`. For all
others it is left out, as is everything else among the extra arguments that is no array.

*Where arrays lie on several devices*, no one program can take them all: the step is run
as it stands, and each of its operations where its arrays are.

Under `jit`, and wherever else anything is traced, nothing is done here.
"""

import enum
import inspect
from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from gradtx.common import arguments, checks
from gradtx.common.leaves import is_missing, is_numeric
from gradtx.common.numerics import known_rests
from gradtx.common.spec import Recipe, Value
from gradtx.lowering.sharding import are_scattered

Kinds = tuple[type | None, ...]  # of numbers, as `_kind_of` returns them


class Update:
    """``update`` of a transformation that a recipe describes."""

    def __init__(
        self, recipe: Recipe, explain: Callable[..., None] = lambda *_: None
    ) -> None:
        """Keep the recipe; nothing is made of it before it is needed.

        Args:
          recipe: what describes the transformation.
          explain: is given ``init``, the state and what it was made of where a step
            fails by an error that is not ours, and raises one that says more if it can.
        """
        self._recipe, self._explain = recipe, explain
        self._calls = 0

    def __call__(
        self, updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> Any:
        """Transform the updates of one step and the state with them."""
        parts, owners = self._recipe.built
        try:
            arrays = self._arrays(updates, state, params, extra)
            if arrays is not None:
                try:
                    return self._program(
                        self._numbers(), updates, state, params, arrays
                    )
                except ValueError:
                    if not are_scattered((updates, state, params, arrays)):
                        raise
            found = parts.update(updates, state, params, **extra)
            if self._closed:
                checks.same_shapes(state, found[1])
        except checks.InvalidArgument as error:
            for owner in owners:
                error.within(owner)
            raise
        except Exception:
            if not self._recipe.factory.is_inner:
                with checks.named(*owners):
                    like = updates if params is None else params
                    self._explain(parts.init, state, like)
            raise
        return found

    def _arrays(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the extra arguments for the program, or None where none is to run."""
        if not self._closed or _CONFIG.jax_disable_jit:
            return None
        if not all_arrays((updates, state, params)) or self._program is None:
            return None
        if not extra:
            return extra
        if any(isinstance(x, Tracer) for x in jax.tree.leaves(extra)):
            return None
        arrays = {name: x for name, x in extra.items() if all_arrays(x)}
        others = extra.keys() - arrays.keys()
        # A flag among what is left out may be looked at; a function only if asked for.
        if self.asks & others or any(_has_data(extra[name]) for name in others):
            return None
        return arrays

    def _numbers(self) -> Any:
        """Return the numbers, and by how much each grows when it becomes a float32.

        On the device they are handed over faster, but it takes long to put them there.
        """
        if _CONFIG.jax_enable_x64:
            return self._packed_as(np.float64)
        if self._calls < _OFTEN:
            self._calls += 1
            return self._packed_as(np.float32)
        return self._put

    @cached_property
    def _packed_as(self) -> Callable[[Any], Any]:
        return cache(partial(_packed, jax.tree.leaves(self._recipe)))

    @cached_property
    def _put(self) -> Any:
        if jax.process_count() > 1:
            return self._packed_as(np.float32)
        with jax.ensure_compile_time_eval():
            return jax.device_put(self._packed_as(np.float32))

    @cached_property
    def _closed(self) -> bool:
        does = self._recipe.built[0].update is not pass_on
        return does and is_closed(self._recipe)

    @cached_property
    def _program(self) -> Any:
        """The compiled program of this structure, or None where none can be made."""
        numbers, structure = jax.tree.flatten(self._recipe)
        try:
            return _program(structure, tuple(map(_kind_of, numbers)))
        except TypeError:  # an array among what is fixed has no hash
            return None

    @cached_property
    def asks(self) -> frozenset[str]:
        """The functions among the extra arguments that this or a part of it calls."""
        parts, _ = self._recipe.built
        own = inspect.signature(parts.update).parameters
        asks = {name for name in own if name.endswith("_fn")}
        recipe: Any = self._recipe
        while recipe is not None:
            for part in jax.tree.leaves(recipe.arguments, is_leaf=_is_part):
                asks |= getattr(getattr(part, "update", None), "asks", frozenset())
            recipe = getattr(recipe.product, "recipe", None)
        return frozenset(asks)


def pass_on(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
    """Return the updates as they are: an ``update`` of which no program is made."""
    del params, extra
    return updates, state


_OFTEN = 8

_CONFIG: Any = jax.config  # its options are not declared


@cache
def _program(structure: Any, kinds: Kinds) -> Callable[..., Any]:
    """Return the one program of all transformations of a structure."""

    @jax.jit
    def step(
        numbers: Any, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> Any:
        known, rests = _unpacked(kinds, *numbers)
        with known_rests(known, rests):
            recipe = structure.unflatten(known)
            found = recipe.built[0].update(updates, state, params, **extra)
            checks.same_shapes(state, found[1])
            return found

    return step


# --- numbers of Python as one argument -----------------------------------------


def _kind_of(x: Any) -> type | None:
    """Return the type of a number that goes into the array, or None if it does not."""
    whole = type(x) is int and abs(x) <= 2**24  # so far float32 has every one
    return type(x) if whole or type(x) is float else None


def _packed(
    numbers: Sequence[Any], dtype: type[np.floating[Any]]
) -> tuple[np.ndarray, list[Any]]:
    """Return an array of the numbers and by how much each grows, and what is not in it.

    A zero stands for each that has a type of its own. JAX must not narrow ``dtype``, as
    too large a number ends it.
    """
    rows = [(x if _kind_of(x) else 0, _growth(x)) for x in numbers]
    with np.errstate(over="ignore"):
        array = np.asarray(rows, dtype).reshape(-1, 2)
    return array, [x for x in numbers if not _kind_of(x)]


def _unpacked(
    kinds: Kinds, array: jax.Array, others: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Return all the numbers that were packed, and by how much each grew."""
    rest = iter(others)
    numbers = [
        # As a number of Python does, it takes on the type of what it meets.
        jax.lax.full_like(kind(), array[i, 0]) if kind else next(rest)
        for i, kind in enumerate(kinds)
    ]
    return numbers, [array[i, 1] for i in range(len(kinds))]


def _growth(x: Any) -> float:
    """Return by how much a number grows in float32; it matters near 1 alone."""
    near_1 = isinstance(x, float) and 0.5 < x < 1  # noqa: PLR2004
    return float(np.float32(x)) - x if near_1 else 0.0


# --- what can be compiled ----------------------------------------------------


def is_closed(recipe: Recipe) -> bool:
    """Whether a value is made of this library's factories and of known numbers only."""
    leaves = jax.tree.leaves(recipe.arguments, is_leaf=_is_part)
    return recipe.factory.ours and all(map(_is_known, leaves))


def _is_part(x: Any) -> bool:
    """Whether an argument does something, so that its leaves do not tell what."""
    pair = hasattr(x, "init") and hasattr(x, "update")
    return isinstance(x, Value) or callable(x) or pair


def _is_known(x: Any) -> bool:
    if isinstance(x, Value):
        return x.recipe is not None and is_closed(x.recipe)
    if inspect.isfunction(x):  # ours, of those that see nothing that could change
        return arguments.is_ours(x) and x.__closure__ is None
    if isinstance(x, int):  # a larger one is no number of a compiled program
        return abs(x) < 2**31
    if isinstance(x, jax.Array | np.ndarray):  # traced, a mask could not be looked at
        return x.dtype != bool and not isinstance(x, Tracer)
    return isinstance(x, _KNOWN)


_KNOWN = (float, complex, str, np.generic, np.dtype, type, enum.Enum)


# --- arrays ------------------------------------------------------------------


def all_arrays(tree: Any) -> bool:
    """Whether all leaves are known numbers or arrays of them."""
    leaves = jax.tree.leaves(tree)
    kinds = set(map(type, leaves))
    # JAX gives the gradient of an integer in a type that has no numbers.
    if np.ndarray in kinds and any(map(is_missing, leaves)):
        return False
    return all(map(_is_array, kinds))


@cache
def _is_array(kind: type) -> bool:
    arrays = jax.Array, np.ndarray, np.generic, int, float, complex
    return issubclass(kind, arrays) and not issubclass(kind, Tracer | bool | np.bool_)


def _has_data(x: Any) -> bool:
    return not callable(x) and any(map(is_numeric, jax.tree.leaves(x)))
