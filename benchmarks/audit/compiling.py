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
from benchmarks.timing import stages


class Passage(NamedTuple):
    """What one way through a step moves."""

    label: str
    read: float
    """Bytes per parameter."""
    written: float
    kernels: float
    floor: float
    """The fewest bytes per parameter that can be read and written."""
    bound: bool
    """Whether that can be reached."""
    why: str
    moved: float
    """Bytes per parameter read and written."""
    ratio: float
    """That, in multiples of the fewest."""


class Figures(NamedTuple):
    """What one library's step does on one target."""

    passages: tuple[Passage, ...]
    paths: tuple[float, ...]
    """Bytes per parameter on every way through the conditionals."""
    temporary: float
    """Bytes per parameter of scratch memory."""
    loops: int
    open: int
    """Those whose number of rounds is not known: they are run once, or not at all."""
    trace: float
    """Seconds."""
    lower: float
    compile: float


def figures(case: Case, library: ModuleType, target: Target, size: int) -> Figures:
    """Compile a library's step of a case, and return its figures."""
    shape = (math.isqrt(size),) * 2 if case.matrix else (size,)
    step, arguments = _step(case, library, _struct(shape, target, case.weights))
    found = stages(jax.jit(step, donate_argnums=(1, 2)), arguments, target)
    count = math.prod(shape)
    cost = cost_of(parse(found.compiled.as_text()))
    once = floor(found.traced, arguments) / count
    memory = found.compiled.memory_analysis()
    return Figures(
        tuple(_passage(way, _picked(cost, way), once, count) for way in case.ways),
        tuple(round(work.moved / count, 3) for work in cost.paths()),
        getattr(memory, "temp_size_in_bytes", math.nan) / count,
        *(cost.loops, cost.open),
        *(found.trace, found.lower, found.compile),
    )


def _picked(cost: Cost, way: Way) -> Work:
    if way.pick in {"least", "most"} or not cost.maybe:
        return cost.most if way.pick in {"most", "greater loop"} else cost.least
    return cost.one_loop(min if way.pick == "lesser loop" else max)


def _passage(way: Way, work: Work, once: float, count: int) -> Passage:
    read, written, moved = (x / count for x in (work.read, work.written, work.moved))
    least = once + way.again
    told = (work.kernels, least, way.bound, way.why)
    return Passage(way.label, read, written, *told, moved, moved / least)


def _step(case: Case, library: ModuleType, leaf: Any) -> tuple[Any, tuple[Any, ...]]:
    tx = case.build(library)
    grads = params = {"w": leaf}
    if case.paired and library.__name__ == "optax":
        params = library.LookaheadParams(params, params)
    state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=leaf.sharding),
        jax.eval_shape(tx.init, params),
    )
    extra = {name: _struct((), leaf) for name in case.needs if name != "obj_fn"}
    functions = {"obj_fn": _bowl} if "obj_fn" in case.needs else {}

    def step(grads: Any, params: Any, state: Any, extra: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params, **extra, **functions)
        return library.apply_updates(params, updates), state

    return step, (grads, params, state, extra)


def _bowl(params: Any) -> jax.Array:
    return 0.5 * sum(jnp.sum(x * x) for x in jax.tree.leaves(params))


def _struct(
    shape: tuple[int, ...], like: Any, dtype: Any = jnp.float32
) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=like.sharding)


def floor(traced: Any, arguments: tuple[Any, ...]) -> float:
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
    return sum(_nbytes(v.aval) for v in (*used, *changed))


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


def _nbytes(aval: Any) -> int:
    return math.prod(aval.shape) * aval.dtype.itemsize
