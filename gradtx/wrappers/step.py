"""One step of an inner transformation that may be left out."""

import functools
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.codecs import Encoded, is_encoded
from gradtx.common import checks, numerics, spec
from gradtx.common.leaves import (
    differentiable,
    is_missing,
    is_numeric,
)
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.apply_updates import apply_updates, fit, remember
from gradtx.core.transformation import GradientTransformation
from gradtx.lowering.conditional import cond_inplace, either_inplace
from gradtx.primitives.scale import zeros_for

T = TypeVar("T")
# What a step changes: the updates, the state, and the parameters.
Now: TypeAlias = tuple[Updates, OptState, Any]


def run_if(
    condition: Any,
    inner: GradientTransformation,
    updates: Updates,
    state: OptState,
    params: Params | None,
    extra: dict[str, Any],
    *,
    otherwise: Updates,
    zero: bool,
) -> tuple[Updates, OptState]:
    """Return what ``inner`` makes of the updates, or ``otherwise`` and the old state.

    Only one of the two is computed. The types are those of ``otherwise`` and of the old
    state, whatever types the inner transformation returns. Whether ``otherwise`` is
    zero is told by ``zero``: then the parameters are unchanged too, and not read.
    """
    run = step_of(inner, updates, extra, partial(params_after, zero=zero))
    new, new_state, sums = cond_inplace(condition, run, (otherwise, state, params))
    if zero:
        remember(params, new, sums)
    return new, new_state


def step_of(
    inner: GradientTransformation,
    updates: Updates,
    extra: dict[str, Any],
    after: Callable[[Any, Updates], Any] = apply_updates,
) -> Callable[[Now], Now]:
    """Return a step of ``inner`` that may stand in a loop: it keeps all types.

    Outside of one it may be given None for the updates of before.

    Args:
      inner: the transformation.
      updates: what it is given.
      extra: the extra arguments.
      after: from the parameters and its updates to what is returned for the parameters.
    """

    def step(now: Now) -> Now:
        like, state, params = now
        u, new_state = inner.update(updates, state, params, **extra)
        u = as_updates(u, params) if like is None else typed_like(like, u)
        return u, typed_like(state, new_state), after(params, u)

    return step


def step_and(
    inner: GradientTransformation,
    now: tuple[Updates, OptState, Params],
    extra: dict[str, Any],
    due: Any,
    move: Callable[[T, Params], T],
    kept: T,
    *,
    single_pass: bool,
) -> tuple[Updates, OptState, T]:
    """Take a step of ``inner``, and move what is kept where it is due.

    Args:
      inner: the transformation.
      now: what it is given, its state, and the parameters.
      extra: the extra arguments.
      due: whether to move.
      move: from what is kept and the weights that the step leads to, to what is kept.
      kept: a tree of arrays.
      single_pass: whether both are one pass over memory, see :func:`either_inplace`.

    Returns:
      The updates, the state, and what is kept.
    """
    updates, state, params = now
    if not single_pass:
        u, state = inner.update(updates, state, params, **extra)
        there = apply_updates(params, u)
        return u, state, cond_inplace(due, lambda kept: move(kept, there), kept)
    step = step_of(inner, updates, extra)

    def stepped(old: tuple[Now, T]) -> tuple[Now, T]:
        return step(old[0]), old[1]

    def moved(old: tuple[Now, T]) -> tuple[Now, T]:
        now, kept = stepped(old)
        return now, move(kept, now[2])

    start = (zeros_for(updates, params), state, params)
    (u, state, there), kept = either_inplace(due, moved, stepped, (start, kept))
    remember(params, u, there)
    return u, state, kept


def params_after(params: Params | None, updates: Updates, *, zero: bool = True) -> Any:
    """Return params + updates where they fit together, and the parameters if not."""
    if not zero or not fit(params, updates):
        return params
    return apply_updates(params, updates)


def typed_like(like: PyTree, tree: PyTree) -> PyTree:
    """Return the tree in the types of another, if it has that one's structure."""
    if like is tree:
        return tree
    whole = [jax.tree.structure(x, is_leaf=_is_whole) for x in (like, tree)]
    if whole[0] != whole[1]:
        return tree
    return jax.tree.map(_typed, like, tree, is_leaf=_is_whole)


def _is_whole(x: Any) -> bool:
    return x is None or is_encoded(x)


def _typed(like: Any, x: Any) -> Any:
    if is_encoded(like) or is_encoded(x):
        same = is_encoded(like) and is_encoded(x) and like.codec == x.codec
        return Encoded(x.codes, x.scales, x.codec, x.shape, like.dtype) if same else x
    if not (is_numeric(like) and is_numeric(x)):
        return x
    dtype = jax.dtypes.result_type(like)
    return x if jax.dtypes.result_type(x) == dtype else jnp.asarray(x).astype(dtype)


def in_types(numbers: dict[str, Any], dtypes: dict[str, Any]) -> dict[str, jax.Array]:
    """Return numbers as arrays of the types given for each, made in one program."""
    others = {
        name: x if isinstance(x, jax.Array) else np.asarray(x, dtypes[name])
        for name, x in numbers.items()
        if getattr(x, "weak_type", True) or x.dtype != dtypes[name]
    }
    if not others:
        return numbers
    return numbers | _cast(others, tuple(dtypes[name] for name in others))


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _cast(numbers: dict[str, Any], dtypes: tuple[Any, ...]) -> dict[str, jax.Array]:
    pairs = zip(numbers.items(), dtypes, strict=True)
    return {name: jnp.asarray(x, dtype) for (name, x), dtype in pairs}


def as_updates(updates: Updates, params: Params | None) -> Updates:
    """Return the updates in the types of the parameters where they are given."""
    zeros = zeros_for(updates, params)
    return jax.tree.map(_kept, updates, zeros, is_leaf=checks.is_none)


def _kept(u: Any, zero: Any) -> Any:
    return zero if is_missing(u) else _typed(zero, u)


def widest(tree: PyTree) -> Any:
    """Return float32, or the type of wider floats where there are any."""
    # Outside of jit it is asked for at every step.
    return _widest(frozenset(map(_dtype, differentiable(tree))))


def _dtype(x: Any) -> Any:
    return x.dtype if isinstance(x, jax.Array) else jax.dtypes.result_type(x)


@functools.cache
def _widest(dtypes: frozenset[Any]) -> Any:
    floats = map(numerics.real_dtype, dtypes)
    return functools.reduce(jnp.promote_types, floats, jnp.dtype(jnp.float32))


def is_ours(tx: Any) -> bool:
    """Whether a transformation and all its parts are of this library.

    Then it may be given gradients of more bits than its parameters have.
    """
    if not spec.is_value(tx):
        return False
    parts = jax.tree.leaves(tx.recipe.arguments, is_leaf=_is_pair)
    return all(is_ours(part) for part in parts if _is_pair(part))


def _is_pair(x: Any) -> bool:
    return hasattr(x, "init") and hasattr(x, "update")
