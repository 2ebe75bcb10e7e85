"""Matrices of one shape shared out over devices, read from the compiled programs."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import gradtx
from benchmarks.audit.sent import Exchange, exchange, products
from gradtx import contrib

Tree = Any
KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}
LAYOUTS = {"whole": P(), "in shards": P("d")}
both_kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
both_layouts = pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)

# Of a gradient with more rows than columns the first factor has a null space, whose
# eigenvectors are each LAPACK's, processor's and batch's own.
SQUARE = 8

FEW = {
    "muon": partial(contrib.muon, 0.1),
    "soap": partial(gradtx.soap, 0.1, precondition_frequency=1),
}
MORE = {
    "adamuon": partial(gradtx.adamuon, 0.1),
    "normuon": partial(gradtx.normuon, 0.1),
    "muon_squared": partial(gradtx.muon_squared, 0.1),
    "dion": partial(gradtx.dion, 0.1, rank=4),
    "dion2": partial(gradtx.dion2, 0.1),
    "dion3": partial(gradtx.dion2, 0.1, b2=0.9),
    "scion": partial(gradtx.scion, 0.1),
    "muown": partial(gradtx.muown, 0.1),
    "soap_muon": partial(gradtx.soap_muon, 0.1),
    "kl_soap": partial(gradtx.kl_soap, 0.1),
    "kl_shampoo": partial(gradtx.kl_shampoo, 0.1),
    "shampoo": partial(gradtx.shampoo, 0.1, b2=0.9, eps=1e-2, target_dims=None),
    "splus": partial(gradtx.splus, 0.1),
    "psgd_kron": partial(gradtx.psgd_kron, 0.1),
}


def tree(many: int = 8, rows: int = 16) -> Tree:
    """Return matrices of one shape, and a vector."""
    shapes = {f"w{i}": (rows, 8) for i in range(many)} | {"b": (8,)}
    return problems.noise({k: jnp.zeros(s) for k, s in shapes.items()}, 0)


def laid(params: Tree, over: Any, spec: P) -> Tree:
    """Return copies whose matrices lie so on a mesh; vectors lie whole."""

    def one(x: Any) -> Any:
        to = NamedSharding(over, spec if x.ndim > 1 else P())
        return jax.device_put(np.array(x), to)

    return jax.tree.map(one, params)


def step(tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
    """Take one step."""
    updates, state = tx.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state


@cache
def unsplit(make: Any) -> Tree:
    """Return the parameters after three steps without `split`."""
    whole = tree(rows=SQUARE)
    expected, state = whole, make().init(whole)
    alone = jax.jit(partial(step, make()))
    for t in range(3):
        expected, state = alone(problems.noise(whole, t + 1), state, expected)
    return expected


def hold(make: Any, kind: AxisType, spec: P) -> None:
    """Take three steps with and without `split`, and compare them and the layouts.

    No gradient is the parameters themselves: a method that takes only what is
    orthogonal to them, as Muown does, would be left with rounding errors.
    """
    whole, expected = tree(rows=SQUARE), unsplit(make)
    with problems.on(kind) as over:
        tx, params = make(split="d"), laid(whole, over, spec)
        mine, run = jax.jit(tx.init)(params), jax.jit(partial(step, tx))
        places = [x.sharding for x in jax.tree.leaves((params, mine))]
        for t in range(3):
            before = problems.compiled()
            grads = laid(problems.noise(whole, t + 1), over, spec)
            # Steps that are under way together wait for each other on few cores.
            params, mine = jax.block_until_ready(run(grads, mine, params))
            assert problems.compiled() == before or not t
        for x, place in zip(jax.tree.leaves((params, mine)), places, strict=True):
            assert x.sharding.is_equivalent_to(place, x.ndim)
    problems.assert_close(jax.device_get(params), jax.device_get(expected), 1e-4)


@both_kinds
@both_layouts
@pytest.mark.parametrize("make", FEW.values(), ids=FEW)
@pytest.mark.one_in(12)
def test_the_steps_are_the_same(make: Any, kind: AxisType, spec: P) -> None:
    """As without `split`; nothing moves between steps, and one program does them."""
    hold(make, kind, spec)


@pytest.mark.exhaustive
@both_kinds
@both_layouts
@pytest.mark.parametrize("make", MORE.values(), ids=MORE)
def test_the_steps_of_others_are_the_same(make: Any, kind: AxisType, spec: P) -> None:
    """So it is for every method that treats matrices."""
    hold(make, kind, spec)


def program(make: Any, kind: AxisType, spec: P, **settings: Any) -> str:
    """Compile a step."""
    with problems.on(kind) as over:
        tx, params = make(**settings), laid(tree(), over, spec)
        state = jax.jit(tx.init)(params)
        lowered = jax.jit(partial(step, tx)).lower(params, state, params)
        return lowered.compile().as_text() or ""


BYTES = 8 * 16 * 8 * 4
FACTORS = 8 * (16 * 16 + 8 * 8) * 4


def assert_little_is_sent(
    found: Exchange, matrices: int, kind: AxisType, spec: P
) -> None:
    """Hold the bounds, as parts of the matrices' bytes, for eight on eight devices.

    Of a step's conditionals it takes one at most: SOAP finds its first bases, or turns
    them.
    """
    whole = 1.1 if kind is AxisType.Explicit else 2.0
    bound = (whole if spec == P() else 0.5) * matrices
    usual = found.total - sum(found.perhaps)
    assert usual + max(found.perhaps, default=0) <= bound
    assert found.within == 0


MADE = {
    "muon": (partial(contrib.muon, 0.1), BYTES),
    "soap": (partial(gradtx.soap, 0.1, precondition_frequency=1), BYTES + 2 * FACTORS),
    "shampoo": (
        partial(gradtx.shampoo, 0.1, target_dims=None, start_preconditioning_step=1),
        BYTES + 2 * FACTORS,
    ),
}


@both_kinds
@both_layouts
@pytest.mark.parametrize(("make", "matrices"), MADE.values(), ids=MADE)
@pytest.mark.one_in(12)
def test_each_device_has_its_share(
    make: Any, matrices: int, kind: AxisType, spec: P
) -> None:
    """An eighth of the products, each matrix sent once and back, none in a loop."""
    text = program(make, kind, spec, split="d")
    assert_little_is_sent(exchange(text, 8), matrices, kind, spec)
    assert 0 < products(text) <= 1.1 / 8 * _products_of_all(make)


@cache
def _products_of_all(make: Any) -> float:
    return products(program(make, AxisType.Auto, P()))


@pytest.mark.exhaustive
@both_kinds
def test_a_stack_goes_over_no_more_devices_than_it_fills(kind: AxisType) -> None:
    """Three matrices take an axis of four and not eight; one is computed everywhere."""
    for many, devices in ((3, 4), (1, 1)):
        whole = {k: x for k, x in tree(many).items() if k != "b"}
        tx = contrib.scale_by_muon(split=("a", "d"))
        expected, _ = contrib.scale_by_muon().update(whole, tx.init(whole))
        with problems.on(kind, a=2, d=4) as over:
            grads = laid(whole, over, P())
            lowered = jax.jit(tx.update).lower(grads, tx.init(grads))
            text = lowered.compile().as_text() or ""
            share = -(-many // devices)
            assert products(text) == share * _products_of_one()
            assert exchange(text, 8).total <= 1.1 * share * devices * 16 * 8 * 4
            got, _ = jax.jit(tx.update)(grads, tx.init(grads))
        problems.assert_close(jax.device_get(got), jax.device_get(expected), 1e-4)


def _products_of_one() -> float:
    tx, one = contrib.scale_by_muon(), {"w": jnp.ones((16, 8))}
    lowered = jax.jit(tx.update).lower(one, tx.init(one))
    return products(lowered.compile().as_text() or "")


@both_kinds
@pytest.mark.one_in(2)
def test_layers_in_one_array_and_matrices_of_other_layouts(kind: AxisType) -> None:
    """Batches of matrices, cut along any axis, and heads go through one stack."""
    numbers = {
        "layers": contrib.MuonDimensionNumbers(1, 2),
        "rows": contrib.MuonDimensionNumbers(0, 1),
        "heads": gradtx.MatrixAxes(0, 1, heads=2),
    }
    shapes = {"layers": (8, 16, 8), "rows": (16, 8), "heads": (16, 16)}
    specs = {"layers": P("d"), "rows": P(None, "d"), "heads": P("d")}
    whole = problems.noise({k: jnp.zeros(s) for k, s in shapes.items()}, 0)
    make = partial(contrib.scale_by_muon, weight_dimension_numbers=numbers)
    expected, _ = make().update(whole, make().init(whole))
    with problems.on(kind) as over:
        lay = {k: NamedSharding(over, specs[k]) for k in whole}
        grads = {k: jax.device_put(np.array(x), lay[k]) for k, x in whole.items()}
        tx = make(split="d")
        got, _ = jax.jit(tx.update)(grads, tx.init(grads))
        if kind is AxisType.Explicit:
            assert all(got[k].sharding.is_equivalent_to(lay[k], 3) for k in lay)
    problems.assert_close(jax.device_get(got), jax.device_get(expected), 1e-4)


@pytest.mark.exhaustive
@both_kinds
def test_a_setting_may_be_traced(kind: AxisType) -> None:
    """A setting may be an argument of the program, also where types tell layouts."""
    whole = {k: x for k, x in tree(2).items() if k != "b"}

    def update(eps: Any, grads: Tree, split: Any = None) -> Tree:
        tx = gradtx.scale_by_soap(eps=eps, split=split)
        state = tx.init(grads)
        return tx.update(grads, tx.update(grads, state)[1])[0]

    expected = update(0.1, whole)
    with problems.on(kind) as over:
        grads = laid(whole, over, P("d"))
        got = jax.jit(partial(update, split="d"))(jnp.float32(0.1), grads)
    problems.assert_close(jax.device_get(got), jax.device_get(expected), 1e-4)


@both_kinds
@pytest.mark.one_in(2)
def test_a_step_without_jit(kind: AxisType) -> None:
    """A step may be taken as it stands, and lies as a jitted one."""
    whole = {"w": jnp.ones((8, 8)).at[0].set(2.0)}
    make = partial(contrib.scale_by_muon, ns_steps=1)
    expected, _ = make().update(whole, make().init(whole))
    with problems.on(kind) as over:
        grads, tx = laid(whole, over, P("d")), make(split="d")
        got, _ = tx.update(grads, tx.init(grads))
    problems.assert_close(jax.device_get(got), jax.device_get(expected), 1e-4)


def test_what_cannot_be_shared_out_is_said() -> None:
    """A mesh without the axis, none at all, and an axis of `shard_map` are refused."""
    tx, whole = contrib.scale_by_muon(split="d"), {"w": jnp.ones((8, 8))}
    with pytest.raises(ValueError, match=r"split.*there is no mesh"):
        tx.update(whole, tx.init(whole))
    with problems.on(AxisType.Auto) as over:
        grads = laid(whole, over, P())
        other = tx.replace(split="e")
        with pytest.raises(ValueError, match="no axis 'e'"):
            jax.jit(other.update)(grads, other.init(grads))
        inside = jax.shard_map(
            lambda g: tx.update(g, tx.init(g))[0],
            mesh=over,
            in_specs=P(),
            out_specs=P(),
        )
        with pytest.raises(ValueError, match="within shard_map"):
            inside(grads)
