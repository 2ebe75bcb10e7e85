"""Compile one step for a target, and read off what it does."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Var

from benchmarks.audit.cases import Case, Way
from benchmarks.audit.hlo import parse
from benchmarks.audit.moved import Cost, Work, cost_of
from benchmarks.audit.targets import Target
from benchmarks.report import Record
from benchmarks.timing import stages
from benchmarks.trees import Shapes, parameters


class Compiled(NamedTuple):
    """A step of update and apply, parameters and state donated, for some target."""

    seconds: dict[str, float]
    cost: Cost
    temporary: float
    """Bytes of scratch memory."""
    lower_bound: float
    """The fewest bytes that can be read and written."""


def compile_step(
    library: ModuleType, tx: Any, grads: Any, params: Any, target: Target, **extra: Any
) -> Compiled:
    """Compile a step of a library.

    Args:
      library: where ``tx`` comes from.
      tx: the transformation.
      grads: shapes and types of the gradients.
      params: those of the parameters.
      target: the device.
      **extra: what ``update`` wants besides: shapes, and functions.
    """
    *trees, extra = jax.tree.map(
        lambda x: x if callable(x) else x.update(sharding=target.sharding),
        (grads, params, jax.eval_shape(tx.init, params), extra),
    )
    found = stages(library, tx, *trees, target=target, **extra)
    return Compiled(
        found.seconds,
        cost_of(parse(found.compiled.as_text())),
        getattr(found.compiled.memory_analysis(), "temp_size_in_bytes", math.nan),
        lower_bound(found.traced, trees),
    )


def figures(
    case: Case, library: ModuleType, target: Target, shapes: Shapes
) -> Iterator[Record]:
    """Compile a library's step of a case; yield a record of every way through it."""
    grads: Any = {k: jax.ShapeDtypeStruct(s, case.weights) for k, s in shapes.items()}
    params = grads
    if case.name.startswith("lookahead") and library.__name__ == "optax":
        params = library.LookaheadParams(params, params)
    extra: Any = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in case.needs}
    if "obj_fn" in extra:
        extra["obj_fn"] = _bowl
    found = compile_step(library, case.build(library), grads, params, target, **extra)
    count = parameters(shapes)
    for way in case.ways:
        work = _picked(found.cost, way)
        least = found.lower_bound / count + way.again
        yield {
            "way": way.label,
            "lower bound": least,
            "reachable": way.reachable,
            "read": work.read / count,
            "written": work.written / count,
            "B/param": work.moved / count,
            "ratio": work.moved / count / least,
            "kernels": work.kernels,
            "temp": found.temporary / count,
            "loops": found.cost.loops,
            "open": found.cost.open,  # of unknown rounds: run once or not at all
            **found.seconds,
            "why": way.why,
        }


def _bowl(params: Any) -> Any:
    return 0.5 * sum(jnp.sum(x * x) for x in jax.tree.leaves(params))


def _picked(cost: Cost, way: Way) -> Work:
    most = way.pick in {"most", "greater loop"}
    if way.pick.endswith("loop") and cost.maybe:
        return cost.one_loop(max if most else min)
    return cost.most if most else cost.least


# --- the lower bound ---------------------------------------------------------


def lower_bound(traced: Any, arguments: Any) -> float:
    """Return the bytes of all arrays that a step needs, and of all that it changes.

    Parameters and state come back in the order in which they were given.
    """
    jaxpr = traced.jaxpr.jaxpr
    needed = {id(v) for equation in jaxpr.eqns for v in equation.invars}
    grads, *moving = (len(jax.tree.leaves(tree)) for tree in arguments[:3])
    carried = jaxpr.invars[grads : grads + sum(moving)]
    pairs = zip(carried, _origins(jaxpr), strict=True)
    changed = [old for old, new in pairs if new is not old]
    used = [v for v in jaxpr.invars if id(v) in needed]
    return sum(v.aval.size * v.aval.dtype.itemsize for v in (*used, *changed))


def _origins(jaxpr: Any) -> list[Any]:
    """Return for the results of a jaxpr the arguments that they are, if they are any.

    A function that is called may hand an argument back as it is.
    """
    origin = {v: v for v in jaxpr.invars}
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr")
        if not hasattr(inner, "jaxpr"):
            continue
        given = dict(zip(inner.jaxpr.invars, equation.invars, strict=True))
        for result, source in zip(equation.outvars, _origins(inner.jaxpr), strict=True):
            value = given.get(source)
            if isinstance(value, Var):
                origin[result] = origin.get(value)
    return [origin.get(v) if isinstance(v, Var) else None for v in jaxpr.outvars]
