"""What a compiled step says to other devices, read from the program itself."""

import contextlib
import re
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import gradtx
from gradtx import contrib
from gradtx.lowering.sharding import sharded_like

Tree = Any
KINDS = [AxisType.Auto, AxisType.Explicit]
LAYOUTS = {
    "rows": {"w": P("d", None), "v": P("d", None), "t": P(None, "d"), "b": P("d")},
    "columns": {"w": P(None, "d"), "v": P(None, "d"), "t": P("d", None), "b": P(None)},
}
COLLECTIVE = re.compile(
    r"= (.*?) (all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute)"
    r"(?:-start)?\("
)


def tree() -> Tree:
    """Return three matrices, two of them of one shape, and a vector."""
    shapes = {"w": (16, 8), "v": (16, 8), "t": (8, 16), "b": (8,)}
    return problems.noise({k: jnp.zeros(s) for k, s in shapes.items()}, 0)


def collectives(text: str) -> Counter[str]:
    """Return how many entries each kind of collective makes, in all."""
    found: Counter[str] = Counter()
    for shapes, name in COLLECTIVE.findall(text):
        for shape in re.findall(r"\w+\[([\d,]*)\]", shapes):
            found[name] += int(np.prod([int(n) for n in shape.split(",") if n]))
    return found


def height(params: Tree) -> Any:
    """Return a sum over all entries."""
    return sum(jnp.sum(x * x) for x in jax.tree.leaves(params))


def stepped(
    tx: Any, kind: AxisType, layout: dict[str, P], leaves: str = "wvtb"
) -> Counter[str]:
    """Take two steps on a mesh; return what the program exchanges.

    The parameters come back laid out as they were, no second program is needed, and
    the steps are those of one device.
    """

    def step(grads: Tree, state: Tree, params: Tree) -> Any:
        known = {"value": height(params), "grad": grads, "value_fn": height}
        updates, state = tx.update(grads, state, params, **known)
        return gradtx.apply_updates(params, updates), state

    over, whole = problems.mesh(kind), {k: tree()[k] for k in leaves}
    explicit = kind is AxisType.Explicit
    with jax.set_mesh(over) if explicit else contextlib.nullcontext():
        lay = {k: NamedSharding(over, layout[k]) for k in whole}
        grads, params = (
            {k: jax.device_put(np.array(x), lay[k]) for k, x in whole.items()}
            for _ in range(2)
        )
        state, jitted = tx.init(params), jax.jit(step)
        text = jitted.lower(grads, state, params).compile().as_text()
        before = problems.compiled()
        for _ in range(2):
            params, state = jitted(grads, state, params)
        assert problems.compiled() == before
        for k, x in params.items():
            assert x.sharding.is_equivalent_to(lay[k], x.ndim), k
    expected, state = whole, tx.init(whole)
    alone = jax.jit(step)
    for _ in range(2):
        expected, state = alone(whole, state, expected)
    problems.assert_close(jax.device_get(params), jax.device_get(expected), 1e-4)
    return collectives(text)


SUMS_ONLY = {
    "clip_by_global_norm": gradtx.chain(
        gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.1)
    ),
    "norms of leaves": gradtx.chain(gradtx.scale_by_trust_ratio(), gradtx.sgd(0.1)),
    "mechanize": contrib.mechanize(gradtx.sgd(0.1)),
    "lbfgs": gradtx.lbfgs(0.1, memory_size=2),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("tx", SUMS_ONLY.values(), ids=SUMS_ONLY)
@pytest.mark.one_in(16)
def test_norms_gather_nothing(tx: Any, kind: AxisType, layout: dict[str, P]) -> None:
    """Each leaf is summed where it lies, and only numbers go to other devices."""
    found = stepped(tx, kind, layout)
    assert set(found) == {"all-reduce"}
    assert found["all-reduce"] < 100


@pytest.mark.parametrize("order", [1, 2, "inf"])
@pytest.mark.one_in(2)
def test_every_norm_gathers_nothing(order: Any) -> None:
    """Also outside of an optimizer, on a mesh whose layouts no type tells."""
    over, whole = problems.mesh(AxisType.Auto), tree()
    lay = {k: NamedSharding(over, LAYOUTS["rows"][k]) for k in whole}
    params = {k: jax.device_put(x, lay[k]) for k, x in whole.items()}
    run = jax.jit(lambda p: gradtx.tree.norm(p, ord=order))
    assert set(collectives(run.lower(params).compile().as_text())) == {"all-reduce"}
    np.testing.assert_allclose(run(params), gradtx.tree.norm(whole, order), rtol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.one_in(4)
def test_packed_leaves_come_back_where_they_lay(
    kind: AxisType, layout: dict[str, P]
) -> None:
    """On an automatic mesh they are gathered, on an explicit one left apart."""
    found = stepped(gradtx.pack_small_leaves(gradtx.adamw(0.1)), kind, layout)
    assert set(found) <= ({"all-gather"} if kind is AxisType.Auto else set())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.one_in(2)
def test_each_device_orthogonalizes_its_share(layout: dict[str, P]) -> None:
    """Muon's matrices of one shape are exchanged, not copied to every device."""
    found = stepped(contrib.muon(0.1), AxisType.Explicit, layout, "wvb")
    assert found["all-to-all"] >= 16 * 8
    assert found["all-gather"] < 16 * 8  # less than one matrix


@pytest.mark.exhaustive
def test_galore_s_state_stays_where_it_was_made() -> None:
    """The state stays where it was made: the second step is the same program."""
    for layout in LAYOUTS.values():
        stepped(contrib.galore(0.1, rank=2), AxisType.Auto, layout)


HEADS = contrib.MuonDimensionNumbers(0, (1, 2))
SHAPES = {
    "heads": ((6, 8, 2), (None, "d", None), HEADS),
    "inner heads": ((6, 2, 8), (None, None, "d"), HEADS),
    "layers": ((8, 4, 3), ("d", None, None), contrib.MuonDimensionNumbers(1, 2)),
}


def test_matrices_of_any_axes_are_shared_out() -> None:
    """Heads, and layers in one array, sharded along any axis: as on one device."""
    names, over = {k: n for k, (_, _, n) in SHAPES.items()}, problems.mesh(KINDS[1])
    tx = contrib.scale_by_muon(weight_dimension_numbers=names)
    whole = problems.noise({k: jnp.zeros(s) for k, (s, _, _) in SHAPES.items()}, 0)
    expected, _ = tx.update(whole, tx.init(whole))
    with jax.set_mesh(over):
        lay = {k: NamedSharding(over, P(*axes)) for k, (_, axes, _) in SHAPES.items()}
        grads = {k: jax.device_put(np.array(x), lay[k]) for k, x in whole.items()}
        update = jax.jit(tx.update)
        got, _ = update(grads, tx.init(grads))
        assert all(got[k].sharding.is_equivalent_to(lay[k], 3) for k in lay)
    problems.assert_close(jax.device_get(got), jax.device_get(expected), 1e-4)


def test_a_norm_gathers_nothing_of_what_jit_is_to_shard() -> None:
    """No type of NumPy's arrays and of shapes says how `in_shardings` shards them."""
    over, whole = problems.mesh(AxisType.Auto), jax.device_get(tree())
    lay = {k: NamedSharding(over, LAYOUTS["rows"][k]) for k in whole}
    run = jax.jit(gradtx.tree.norm, in_shardings=(lay,))
    for given in (whole, jax.eval_shape(lambda: whole)):
        found = collectives(run.lower(given).compile().as_text())
        assert set(found) == {"all-reduce"}


def test_what_is_made_hangs_on_what_it_is_sharded_like() -> None:
    """A compiler that simplifies first, as for GPUs, keeps the tie of each entry."""
    x = jnp.float32([1.0, -jnp.inf, jnp.nan])
    for fill, dtype in ((0, "float32"), (1, "bfloat16"), (jnp.inf, "float32")):
        make = jax.jit(lambda x, y=fill, to=dtype: sharded_like(x, jnp.full(3, y, to)))
        np.testing.assert_array_equal(make(x), jnp.full(3, fill, dtype))
        assert "compare(" in make.lower(x).compile().as_text()
