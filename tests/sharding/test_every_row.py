"""Every optimizer on eight devices, its parameters in each of three layouts."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from catalogue import ROWS
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
# Why a row sends more than sums of numbers where its parameters are in shards.
ITERATES = "multiplies whole matrices again and again: `split` shares them out"
DECOMPOSES = (
    "decomposes whole matrices, or takes roots of them: `split` shares them out"
)
ONE_VECTOR = "makes one vector of all leaves, for which they are gathered, as it says"
PROJECTS = "takes products of whole matrices: a compiler that may choose sends less"
GATHERS = {
    "flatten": ONE_VECTOR,
    "apollo": PROJECTS,
    "apollo_mini": PROJECTS,
    "shampoo": DECOMPOSES,
    "shampoo, grafted": DECOMPOSES,
    "corrected_shampoo": DECOMPOSES,
    "psgd_kron": ITERATES,
    "splus": DECOMPOSES,
    "muon": ITERATES,
    "normuon": ITERATES,
    "adamuon": ITERATES,
    "muon_squared": ITERATES,
    "muown": ITERATES,
    "dion": DECOMPOSES,
    "dion2, as Dion3": ITERATES,
    "scion": ITERATES,
    "soap_muon": ITERATES,
}


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
@pytest.mark.one_in(386)
def test_state_lies_as_its_parameters(row: Row, kind: AxisType, layout: str) -> None:
    """After `init`, jitted or not, and each step, which is one program for all.

    With parameters in shards, sums are all that is sent: of numbers, or of the rows
    that a factored method sums over. On explicit meshes the rows that send more are
    those that are named, with a reason, and no others.
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
    if layout == "fsdp":
        found = exchange(compiled.as_text() or "", 8)
        sums = set(found.sent) <= {"all-reduce"}
        little = sums and found.total <= (64 * 32 + 64) * 4 / 8
        assert little or row.name in GATHERS, found
        if kind is AxisType.Explicit:
            assert little != (row.name in GATHERS), "no exception any more"
