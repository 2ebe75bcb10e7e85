"""Compile one step for a target, and read off what it does."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Var
from jax.sharding import SingleDeviceSharding

from benchmarks.audit.cases import Case, Way
from benchmarks.audit.hlo import parse
from benchmarks.audit.moved import Cost, Work, cost_of
from benchmarks.audit.targets import Target
from benchmarks.report import Record
from benchmarks.timing import Step, compile_step
from benchmarks.trees import Shapes, parameters


def compile_for(
    target: Target, lib: ModuleType, tx: Any, grads: Any, params: Any, **extra: Any
) -> tuple[Step, Cost, float]:
    """Compile a step, of shapes and types, and functions that ``update`` wants besides.

    Returns it, its cost and its bytes of scratch memory.
    """
    place = SingleDeviceSharding(target.first)
    *trees, extra = jax.tree.map(
        lambda x: x if callable(x) else x.update(sharding=place),
        (grads, params, jax.eval_shape(tx.init, params), extra),
    )
    step = compile_step(lib, tx, *trees, target=target, **extra)
    memory = step.compiled.memory_analysis()
    scratch = getattr(memory, "temp_size_in_bytes", math.nan)
    return step, cost_of(parse(step.compiled.as_text())), scratch


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
        extra["obj_fn"] = lambda params: (
            0.5 * sum(jnp.sum(x * x) for x in jax.tree.leaves(params))
        )
    tx = case.build(library)
    step, cost, scratch = compile_for(target, library, tx, grads, params, **extra)
    bound, count = lower_bound(step.traced, [grads]), parameters(shapes)
    for way in case.ways:
        work, least = _picked(cost, way), bound / count + way.again
        yield {
            "way": way.label,
            "lower bound": least,
            "reachable": way.reachable,
            "read": work.read / count,
            "written": work.written / count,
            "B/param": work.moved / count,
            "ratio": work.moved / count / least,
            "kernels": work.kernels,
            "temp": scratch / count,
            "loops": cost.loops,
            "open": cost.open,  # of unknown rounds: run once or not at all
            **step.seconds,
            "why": way.why,
        }


def _picked(cost: Cost, way: Way) -> Work:
    most = way.pick in {"most", "greater loop"}
    if way.pick.endswith("loop") and cost.maybe:
        return cost.one_loop(max if most else min)
    return cost.most if most else cost.least


def lower_bound(traced: Any, arguments: Any) -> float:
    """Return the bytes of all arrays that a step needs, and of all that it changes.

    Its arguments are gradients, parameters and state, and others; its results are
    parameters and state, in the order in which they were given.
    """
    jaxpr = traced.jaxpr.jaxpr
    needed = {id(v) for equation in jaxpr.eqns for v in equation.invars}
    carried = jaxpr.invars[len(jax.tree.leaves(arguments[0])) :]
    pairs = zip(carried, _origins(jaxpr), strict=False)  # the other arguments come last
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
