"""Functions with other values in the place of those that they hold.

A function that runs within ``jax.shard_map`` may not hold arrays whose layout is part
of their type: JAX wants them as arguments. The rules of this library hold what they
need, such as the step or a traced setting, in closures and partial functions, so here
the same code is given other values.
"""

from collections.abc import Callable
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import jax

from gradtx.lowering.jaxprs import opened


def typed_captures(function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return the arrays that a function holds and whose types name a mesh."""
    _, captured = opened(function, *args)
    return [x for x in captured if not jax.typeof(x).sharding.mesh.empty]


def rebound(x: Any, values: dict[int, Any], done: dict[int, Any] | None = None) -> Any:
    """Return what is given, with some of the objects within it replaced.

    Looked into are closures, partial functions, methods, tuples, lists and dicts.

    Args:
      x: a function, or what one holds.
      values: by the identity of an object, what to put in its place.
      done: what has been replaced already; a function may hold itself.
    """
    done = dict(values) if done is None else done
    if id(x) in done:
        return done[id(x)]
    if isinstance(x, FunctionType) and x.__closure__:
        return _with_cells(x, values, done)
    again = partial(rebound, values=values, done=done)
    if isinstance(x, partial):
        return partial(again(x.func), *again(x.args), **again(x.keywords))
    if isinstance(x, MethodType):
        return MethodType(again(x.__func__), again(x.__self__))
    return _inside(again, x)


def _inside(again: Callable[[Any], Any], x: Any) -> Any:
    if isinstance(x, dict):
        return {k: again(y) for k, y in x.items()}
    if not isinstance(x, tuple | list):
        return x
    made = map(again, x)
    return type(x)(*made) if hasattr(x, "_fields") else type(x)(made)


def _with_cells(
    function: FunctionType, values: dict[int, Any], done: dict[int, Any]
) -> FunctionType:
    old = function.__closure__ or ()
    cells = tuple(CellType() for _ in old)
    made = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        cells,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    done[id(function)] = made
    for cell, before in zip(cells, old, strict=True):
        try:
            held = before.cell_contents
        except ValueError:  # not yet set
            continue
        cell.cell_contents = rebound(held, values, done)
    return made
