"""Compile a step once, also in a loop that is not jitted."""

from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.core import Tracer

from gradtx.common.spec import Recipe, Value, is_number

F = TypeVar("F", bound=Callable[..., Any])


def compiled(update: F) -> F:
    """Make one program of ``update``; use it as a decorator.

    Outside of ``jit``, each branch of a conditional and each transformation made within
    a step is a new function, which would be compiled at every call. Here the step is
    compiled at the first call, for the shapes and types of its arguments and for
    whatever among them is no number: flags, names, functions. Inside ``jit`` nothing
    is changed.
    """
    plainly = jax.jit(update)

    @partial(jax.jit, static_argnums=(1, 2))
    def run(moving: list[Any], still: tuple[Any, ...], treedef: Any) -> Any:
        kept, given = iter(moving), list(still)
        leaves = [next(kept) if x is _MOVES else _thawed(x) for x in given]
        args, extra = treedef.unflatten(leaves)
        return update(*args, **extra)

    @wraps(update)
    def call(*args: Any, **extra: Any) -> Any:
        apart = partial(update, *args, **extra)
        if _all_arrays((args, extra)):
            return _together(partial(plainly, *args, **extra), apart)
        leaves, treedef = jax.tree.flatten((args, extra))
        still = tuple(_still(x) for x in leaves)
        if any(isinstance(x, Tracer) for x in leaves) or not _hashable(still, treedef):
            return apart()
        moving = [x for x, s in zip(leaves, still, strict=True) if s is _MOVES]
        return _together(partial(run, moving, still, treedef), apart)

    return call  # type: ignore[return-value]


def at_once(update: F) -> F:
    """Make one program of an ``update`` that is written for tracing.

    As :func:`compiled`, but for arrays and numbers alone, which costs next to nothing:
    given anything else, a flag or a function, ``update`` is run as it is.
    """
    run = jax.jit(update)

    @wraps(update)
    def call(*args: Any, **extra: Any) -> Any:
        apart = partial(update, *args, **extra)
        if not _all_arrays((args, extra)):
            return apart()
        return _together(partial(run, *args, **extra), apart)

    return call  # type: ignore[return-value]


def _together(program: Callable[[], Any], apart: Callable[[], Any]) -> Any:
    """Run a program; its parts where leaves lie on different devices, each there."""
    try:
        return program()
    except ValueError as error:
        if "incompatible devices" not in str(error):
            raise
    return apart()


def _all_arrays(tree: Any) -> bool:
    leaves = jax.tree.leaves(tree)
    kinds = set(map(type, leaves))
    if np.ndarray in kinds and any(_still(x) is not _MOVES for x in leaves):
        return False
    return all(map(_is_array, kinds))


@cache
def _is_array(kind: type) -> bool:
    arrays = jax.Array, np.ndarray, np.generic, int, float, complex
    return issubclass(kind, arrays) and not issubclass(kind, Tracer | bool | np.bool_)


def is_traceable(recipe: Recipe) -> bool:
    """Whether a value is made of this library's factories and of known numbers only.

    A function or a pair from elsewhere may look at the numbers that it is given, which
    it cannot under ``jit``.
    """
    ours = recipe.factory.make.__module__.split(".")[0] == __name__.split(".")[0]
    leaves = jax.tree.leaves(recipe.arguments, is_leaf=_is_part)
    return ours and all(map(_is_traceable, leaves))


def _is_part(x: Any) -> bool:
    return isinstance(x, Value) or callable(x)


def _is_traceable(x: Any) -> bool:
    if isinstance(x, Value):
        return x.recipe is not None and is_traceable(x.recipe)
    return isinstance(x, type) or not (callable(x) or isinstance(x, Tracer))


_MOVES = object()


class _NoGradient(NamedTuple):
    """Stands for an array of float0, as JAX gives for an integer parameter."""

    shape: tuple[int, ...]


def _still(x: Any) -> Any:
    """Return what stays the same from call to call; numbers and arrays move."""
    if isinstance(x, np.ndarray) and x.dtype == jax.dtypes.float0:
        return _NoGradient(x.shape)
    return _MOVES if is_number(x) else x


def _thawed(x: Any) -> Any:
    return np.zeros(x.shape, jax.dtypes.float0) if isinstance(x, _NoGradient) else x


def _hashable(*things: Any) -> bool:
    try:
        hash(things)
    except TypeError:
        return False
    return True
