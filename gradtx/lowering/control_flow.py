"""JAX's loops and conditionals, also within ``jax.shard_map``.

There a loop may start from constants, which are the same on every device, and end in
values that are not; and of two branches one may return a constant. JAX refuses both.
Here what a loop starts from, and what branches return, varies as the results do.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
from jax.core import Tracer

from gradtx.lowering.varying import Axes, is_manual, varied_leaves, varying_axes

T = TypeVar("T")
NO_AXES: Axes = frozenset()


def while_loop(goes_on: Callable[[T], Any], step: Callable[[T], T], start: T) -> T:
    """Do what ``jax.lax.while_loop`` does."""

    def steers(carry: T) -> Axes:
        return varying_axes(jax.eval_shape(goes_on, carry))

    start, step = steady(step, start, steers)
    return jax.lax.while_loop(goes_on, step, start)


def fori_loop(begin: int, end: Any, body: Callable[[Any, T], T], start: T) -> T:
    """Do what ``jax.lax.fori_loop`` does."""
    if not is_manual():
        return jax.lax.fori_loop(begin, end, body, start)
    start, _ = steady(lambda carry: body(begin, carry), start)
    return jax.lax.fori_loop(begin, end, _as_varying(body, _axes(start)), start)


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    start: Any,
    xs: Any = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Do what ``jax.lax.scan`` does."""
    if not is_manual():
        return jax.lax.scan(step, start, xs, **options)
    start, _ = steady(lambda c: step(c, jax.tree.map(lambda x: x[0], xs))[0], start)
    axes = _axes(start)

    def steadily(carry: Any, x: Any) -> tuple[Any, Any]:
        carry, y = step(carry, x)
        return varied_leaves(carry, axes), y

    return jax.lax.scan(steadily, start, xs, **options)


def cond(
    condition: Any,
    then: Callable[..., T],
    otherwise: Callable[..., T],
    *operands: Any,
) -> T:
    """Do what ``jax.lax.cond`` does."""
    branches = _alike((then, otherwise), operands, varying_axes(condition))
    return jax.lax.cond(condition, *branches, *operands)


def switch(index: Any, branches: Sequence[Callable[..., T]], *operands: Any) -> T:
    """Do what ``jax.lax.switch`` does."""
    branches = _alike(branches, operands, varying_axes(index))
    return jax.lax.switch(index, branches, *operands)


def either(condition: Any, then: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """Return ``then()`` or ``otherwise()``, and run only that one.

    A condition that is known is looked at: ``lax.cond`` would compile the functions,
    which are new ones at every step, at every step of a loop that is not jitted.
    """
    if isinstance(condition, Tracer):
        return cond(condition, then, otherwise)
    return then() if condition else otherwise()


def platform_dependent(
    *args: Any, default: Callable[..., T], **platforms: Callable[..., T]
) -> T:
    """Do what ``jax.lax.platform_dependent`` does."""
    default, *others = _alike((default, *platforms.values()), args)
    branches = dict(zip(platforms, others, strict=True))
    return jax.lax.platform_dependent(*args, default=default, **branches)


def steady(
    step: Callable[[T], T], start: T, steers: Callable[[T], Axes] = lambda _: NO_AXES
) -> tuple[T, Callable[[T], T]]:
    """Return a start and a step that vary alike, for a loop to repeat the step.

    Args:
      step: from one round's values to the next's.
      start: the first round's values.
      steers: from a round's values to the axes along which what ends the loop varies:
        along these all results vary.
    """
    if not is_manual():
        return start, step
    while True:
        axes = _axes(start)
        found, more = jax.eval_shape(step, start), steers(start)
        if jax.tree.structure(found) != jax.tree.structure(start):
            return start, step  # which the loop will refuse
        pairs = zip(axes, _axes(found), strict=True)
        start = varied_leaves(start, [a | b | more for a, b in pairs])
        if _axes(start) == axes:
            return start, _as_varying(step, axes)


def _alike(
    branches: Sequence[Callable[..., T]], args: Sequence[Any], steers: Axes = NO_AXES
) -> Sequence[Callable[..., T]]:
    """Return branches whose results vary alike."""
    if not is_manual():
        return branches
    kinds = [jax.eval_shape(branch, *args) for branch in branches]
    if len({jax.tree.structure(kind) for kind in kinds}) > 1:
        return branches  # which the conditional will refuse
    axes = [steers.union(*every) for every in zip(*map(_axes, kinds), strict=True)]
    return [_as_varying(branch, axes) for branch in branches]


def _as_varying(function: Callable[..., T], axes: list[Axes]) -> Callable[..., T]:
    """Return a function whose results vary along the axes given for each of them."""
    return lambda *args: varied_leaves(function(*args), axes)


def _axes(tree: Any) -> list[Axes]:
    return [varying_axes(x) for x in jax.tree.leaves(tree)]
