"""The lower bound of a step, which the audit and the library find in two ways."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import gradtx
from benchmarks.audit import cases, compiling


@pytest.mark.parametrize("name", sorted(cases.cases()))
@pytest.mark.one_in(12)
def test_bytes_of_the_audit(name: str) -> None:
    """Every audited step has its lower bound, of its ways that which moves most."""
    case = cases.cases()[name]
    shape = (1024, 1024) if case.matrix else (2**20,)
    params = {"w": jax.ShapeDtypeStruct(shape, case.weights)}
    extra: Any = {x: jax.ShapeDtypeStruct((), jnp.float32) for x in case.needs}
    if "obj_fn" in extra:
        extra["obj_fn"] = lambda p: jnp.sum(p["w"] ** 2)
    found = gradtx.report(case.build(gradtx), params, extra=extra, compiled=False)
    least = _audited(case, params, extra) + max(way.again for way in case.ways) * 2**20
    assert found.moved_bytes == pytest.approx(least, abs=0.1 * 2**20)


def _audited(case: Any, params: Any, extra: Any) -> float:
    """Return the bytes of what a step needs and changes, as the audit counts them."""
    tx = case.build(gradtx)
    functions = {k: x for k, x in extra.items() if callable(x)}
    arrays = {k: x for k, x in extra.items() if k not in functions}

    def step(grads: Any, params: Any, state: Any, arrays: Any) -> Any:
        updates, state = tx.update(grads, state, params, **arrays, **functions)
        return gradtx.apply_updates(params, updates), state

    args = (params, params, jax.eval_shape(tx.init, params), arrays)
    return compiling.lower_bound(jax.jit(step).trace(*args), args)
