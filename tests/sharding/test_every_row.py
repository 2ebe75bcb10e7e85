"""Every optimizer on eight devices, its parameters in each of three layouts."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from catalogue import ROWS, low_rank, matrix, muon
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from methods.common import Row

import gradtx
from benchmarks.audit.sent import exchange

Tree = Any
BOTH = ("x", "y")
LAYOUTS = {
    "replicated": {"w": P(), "b": P()},
    "fsdp": {"w": P(BOTH), "b": P(BOTH)},
    "tensor-parallel": {"w": P(None, "y"), "b": P("y")},
}
KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}
CASES = [
    pytest.param(row, kind, layout, id=f"{row.name}-{name}-{layout}")
    for row in ROWS
    for name, kind in KINDS.items()
    for layout in LAYOUTS
]
# Methods for matrices work on whole ones: `split` shares them out. One vector of all
# leaves is made of leaves that are gathered, as `flatten` says.
GATHER = {row.name for f in (low_rank, matrix, muon) for row in f.ROWS} | {"flatten"}


def tree(seed: int) -> Tree:
    """Return a matrix and a vector that the devices divide along any axis."""
    return problems.noise({"w": jnp.zeros((64, 32)), "b": jnp.zeros(64)}, seed)


def objective(params: Tree) -> Any:
    """Return the height of a bowl."""
    return sum(jnp.sum((x - 1) ** 2) for x in jax.tree.leaves(params))


def step(row: Row, tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
    """Take one step."""
    known = {"value": objective(params), "grad": grads, "value_fn": objective}
    known["obj_fn"] = objective
    extra = {name: known[name] for name in row.needs}
    updates, state = tx.update(grads, state, params, **extra)
    return state, gradtx.apply_updates(params, updates)


def assert_in_place(state: Tree, params: Tree) -> None:
    """What is shaped as a parameter, at a path that ends in its, lies as that does."""
    for path, x in jax.tree_util.tree_leaves_with_path((state, params)):
        p = params.get(getattr(path[-1], "key", None))
        if p is not None and x.shape == p.shape:
            assert x.sharding.is_equivalent_to(p.sharding, x.ndim), (path, x.sharding)


@pytest.mark.parametrize(("row", "kind", "layout"), CASES)
@pytest.mark.one_in(193)
def test_state_lies_as_its_parameters(row: Row, kind: AxisType, layout: str) -> None:
    """After `init`, jitted or not, and each step, which is one program for all.

    With parameters in shards, sums are all that is sent: of numbers, or of the rows
    that a factored method sums over.
    """
    tx = row.build()
    with problems.on(kind, x=2, y=4) as over:
        lay = {k: NamedSharding(over, spec) for k, spec in LAYOUTS[layout].items()}
        params, *grads = (
            {k: jax.device_put(np.array(x), lay[k]) for k, x in tree(t).items()}
            for t in range(3)
        )
        states = tx.init(params), jax.jit(tx.init)(params)
        for state in states:
            assert_in_place(state, params)
        lowered = jax.jit(partial(step, row, tx)).lower(grads[0], states[1], params)
        compiled = lowered.compile()
        # It takes arrays that lie as the first ones, and no others.
        for state in states:
            here = params
            for g in grads:
                state, here = compiled(g, state, here)  # noqa: PLW2901
                assert_in_place(state, here)
                assert all(here[k].sharding.is_equivalent_to(lay[k], 2) for k in lay)
    if layout == "fsdp" and row.name not in GATHER:
        found = exchange(compiled.as_text() or "", 8)
        assert set(found.sent) <= {"all-reduce"}
        assert found.total <= (64 * 32 + 64) * 4 / 8
