"""Compile one step for a target, and read off what it does."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from benchmarks.audit.cases import Case
from benchmarks.audit.hlo import parse
from benchmarks.audit.moved import Cost, cost_of
from benchmarks.audit.targets import Target
from benchmarks.report import Record
from benchmarks.timing import Step, compile_step
from benchmarks.trees import Shapes, parameters
from gradtx.inspection.passes import moved


def compile_for(
    target: Target, lib: ModuleType, tx: Any, grads: Any, params: Any, **extra: Any
) -> tuple[Step, Cost, float]:
    """Compile a step, of shapes and types, and functions that ``update`` wants besides.

    Returns it, its cost and its bytes of scratch memory.
    """
    place = SingleDeviceSharding(target.first)
    *trees, extra = jax.tree.map(
        lambda x: x if callable(x) else x.update(sharding=place),
        (params, jax.eval_shape(tx.init, params), grads, extra),
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
    bound, count = moved(step.traced.jaxpr.jaxpr), parameters(shapes)
    ways, works = list(case.ways()), [cost.least, cost.most]
    if len(ways) == len(cost.maybe) > 1:  # loops, each for one of two cases
        works = [cost.one_loop(min), cost.one_loop(max)]
    for (label, saves, bounded), work in zip(ways, works, strict=False):
        least = max(bound / count - saves, 4 / count)  # one number tells the case
        yield {
            "way": label,
            "lower bound": least,
            "bounded": bounded,
            "read": work.read / count,
            "written": work.written / count,
            "B/param": work.moved / count,
            "ratio": work.moved / count / least,
            "kernels": work.kernels,
            "temp": scratch / count,
            **step.seconds,
        }
