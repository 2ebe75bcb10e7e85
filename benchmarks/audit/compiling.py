"""Compile one step for a target, and read off what it does."""

import math
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Var

from benchmarks.audit.cases import Case, Way
from benchmarks.audit.hlo import parse
from benchmarks.audit.moved import Cost, Work, cost_of
from benchmarks.audit.targets import Target
from benchmarks.tables import Record
from benchmarks.timing import Stages, stages


class Compiled(NamedTuple):
    """A step of update and apply, parameters and state donated, for some target."""

    stages: Stages
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
    functions = {name: value for name, value in extra.items() if callable(value)}
    arrays = {name: value for name, value in extra.items() if name not in functions}

    def step(grads: Any, params: Any, state: Any, extra: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params, **extra, **functions)
        return library.apply_updates(params, updates), state

    given = (grads, params, jax.eval_shape(tx.init, params), arrays)
    given = jax.tree.map(lambda x: x.update(sharding=target.sharding), given)
    found = stages(jax.jit(step, donate_argnums=(1, 2)), given, target)
    memory = found.compiled.memory_analysis()
    return Compiled(
        found,
        cost_of(parse(found.compiled.as_text())),
        getattr(memory, "temp_size_in_bytes", math.nan),
        lower_bound(found.traced, given),
    )


def figures(case: Case, library: ModuleType, target: Target, size: int) -> list[Record]:
    """Compile a library's step of a case; return a record of every way through it."""
    shape = (math.isqrt(size),) * 2 if case.matrix else (size,)
    params: Any = {"w": jax.ShapeDtypeStruct(shape, case.weights)}
    grads = params
    if case.paired and library.__name__ == "optax":
        params = library.LookaheadParams(params, params)
    extra: Any = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in case.needs}
    if "obj_fn" in extra:
        extra["obj_fn"] = _bowl
    found = compile_step(library, case.build(library), grads, params, target, **extra)
    count, records = math.prod(shape), []
    for way in case.ways:
        work = _picked(found.cost, way)
        least = found.lower_bound / count + way.again
        records.append(
            {
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
                "trace s": found.stages.trace,
                "lower s": found.stages.lower,
                "compile s": found.stages.compile,
                "why": way.why,
            }
        )
    return records


def _bowl(params: Any) -> Any:
    return 0.5 * sum(jnp.sum(x * x) for x in jax.tree.leaves(params))


def _picked(cost: Cost, way: Way) -> Work:
    most = way.pick in {"most", "greater loop"}
    if way.pick.endswith("loop") and cost.maybe:
        return cost.one_loop(max if most else min)
    return cost.most if most else cost.least


# --- the lower bound ---------------------------------------------------------


def lower_bound(traced: Any, arguments: tuple[Any, ...]) -> float:
    """Return the bytes of all arrays that a step needs, and of all that it changes.

    Parameters and state come back in the order in which they were given.
    """
    jaxpr = traced.jaxpr.jaxpr
    needed = {id(v) for equation in jaxpr.eqns for v in equation.invars}
    grads, *moving = (len(jax.tree.leaves(argument)) for argument in arguments[:3])
    carried = jaxpr.invars[grads : grads + sum(moving)]
    pairs = zip(carried, _origins(jaxpr, jaxpr.outvars), strict=True)
    changed = [old for old, new in pairs if new is not old]
    used = [v for v in jaxpr.invars if id(v) in needed]
    return sum(
        math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in (*used, *changed)
    )


def _origins(jaxpr: Any, wanted: Any) -> list[Any]:
    """Return for values of a jaxpr the arguments that they are, if they are any.

    A function that is called may hand an argument back as it is.
    """
    origin = {v: v for v in jaxpr.invars}
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr")
        if not hasattr(inner, "jaxpr"):
            continue
        outer = dict(zip(inner.jaxpr.invars, equation.invars, strict=True))
        handed = _origins(inner.jaxpr, inner.jaxpr.outvars)
        for result, source in zip(equation.outvars, handed, strict=True):
            given = outer.get(source) if isinstance(source, Var) else None
            if isinstance(given, Var):
                origin[result] = origin.get(given)
    return [origin.get(v) if isinstance(v, Var) else None for v in wanted]
