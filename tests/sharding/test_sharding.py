"""State in parts, on the host, and known before it is made, on eight devices."""

import re
from collections import Counter
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import gradtx
from gradtx.sharding import abstract_state, offload, zero1

Tree = Any
KINDS = [AxisType.Auto, AxisType.Explicit]
both_kinds = pytest.mark.parametrize("kind", KINDS, ids=str)
RATE, WHOLE = 0.1, P()


def tree() -> Tree:
    """Return a wide and a tall matrix and a vector, cut by eight, and one that is not.

    An integer and None stand among them, which have no state.
    """
    shapes = {"wide": (8, 32), "tall": (24, 4), "b": (16,), "odd": (3, 5)}
    arrays = problems.noise({k: jnp.zeros(s) for k, s in shapes.items()}, 0)
    return {"layer": arrays, "none": None}


def laid(params: Tree, over: Any, spec: P = WHOLE) -> Tree:
    """Return copies that lie so on a mesh."""
    to = NamedSharding(over, spec)
    return jax.tree.map(lambda x: jax.device_put(np.array(x), to), params)


def step(tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
    """Take one step."""
    updates, state = tx.update(grads, state, params)
    return state, gradtx.apply_updates(params, updates)


def held(tree: Tree) -> int:
    """Return the bytes of a tree on the first device."""
    first = jax.devices()[0]
    return sum(
        shard.data.nbytes
        for x in jax.tree.leaves(tree)
        for shard in x.addressable_shards
        if shard.device == first
    )


def places(tree: Tree) -> list[Any]:
    """Return the layout of every array, by which two can be compared."""
    return [x.sharding for x in jax.tree.leaves(tree)]


def assert_alike(found: list[Any], wanted: list[Any], like: Tree) -> None:
    """Compare layouts, one by one."""
    for got, expected, x in zip(found, wanted, jax.tree.leaves(like), strict=True):
        assert got.is_equivalent_to(expected, jnp.ndim(x)), (got, expected, x.shape)
        assert got.memory_kind == expected.memory_kind


METHODS = {
    "adamw": gradtx.adamw(RATE),
    "clip": gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(RATE)),
    "lookahead of sums": gradtx.MultiSteps(gradtx.lion(RATE), 2),
    "muon": gradtx.contrib.muon(RATE),
    "factored": gradtx.adafactor(RATE),
    "8 bits": gradtx.adamw8bit(RATE),
    "schedule free": gradtx.schedule_free_adamw(RATE),
}


@both_kinds
@pytest.mark.parametrize("tx", METHODS.values(), ids=METHODS)
@pytest.mark.one_in(12)
def test_zero1_takes_the_same_steps(tx: Any, kind: AxisType) -> None:
    """In parts, the steps are the same; parameters and state stay where they were.

    The state of `init`, jitted or not, lies alike, and the second step compiles
    nothing.
    """
    whole, tree_of = tree(), jax.tree.structure
    expected, state = whole, tx.init(whole)
    alone = jax.jit(partial(step, tx))
    for t in range(2):
        state, expected = alone(problems.noise(whole, t), state, expected)
    with problems.on(kind) as over:
        parted = zero1(tx, "d")
        jitted = jax.jit(partial(step, parted), donate_argnums=(1, 2))
        for init in (parted.init, jax.jit(parted.init)):
            params = laid(whole, over)
            at_home, mine = places(params), init(params)
            assert tree_of(mine) == tree_of(state)
            lay = places(mine)
            for t in range(2):
                before = problems.compiled()
                grads = laid(problems.noise(whole, t), over)
                mine, params = jitted(grads, mine, params)
                assert problems.compiled() == before or not t
            assert_alike(places(params), at_home, params)
            assert_alike(places(mine), lay, mine)
        problems.assert_close(jax.device_get(params), jax.device_get(expected), 1e-4)
        problems.assert_close(jax.device_get(mine), jax.device_get(state), 1e-4)


@both_kinds
def test_zero1_keeps_an_eighth_on_each_device(kind: AxisType) -> None:
    """Of the state a device holds its share of what can be cut, and the rest whole."""
    with problems.on(kind) as over:
        params = laid(tree(), over)
        state = jax.jit(zero1(gradtx.adamw(RATE), "d").init)(params)
        cut, whole = (16 + 8 * 32 + 24 * 4) * 4, 3 * 5 * 4
        assert held(params) == cut + whole
        assert held(state) <= 1.05 * 2 * (cut / 8 + whole)
        specs = {k: x.sharding.spec for k, x in state[0].mu["layer"].items()}
        assert specs["wide"] == P(None, "d")  # the longest axis
        assert specs["tall"] in (P("d"), P("d", None))


GATHERED = re.compile(r"= (.*?) (?:all-gather|all-to-all)(?:-start)?\(")


@both_kinds
@pytest.mark.one_in(2)
def test_zero1_gathers_no_more_than_the_updates(kind: AxisType) -> None:
    """Of arrays that move, there are the updates that come back, and no state."""
    with problems.on(kind) as over:
        params = laid(tree(), over)
        tx = zero1(METHODS["clip"], "d")
        lowered = jax.jit(partial(step, tx)).lower(params, tx.init(params), params)
        shapes = GATHERED.findall(lowered.compile().as_text() or "")
        moved = re.findall(r"\w+\[([\d,]+)\]", " ".join(shapes))
        entries = sum(np.prod([int(n) for n in x.split(",")]) for x in moved)
        assert entries == 16 + 8 * 32 + 24 * 4


@both_kinds
def test_zero1_of_a_pair_made_by_hand(kind: AxisType) -> None:
    """State that depends on no parameter is cut too, where jit would leave it whole."""

    def init(params: Tree) -> Tree:
        return {"sum": jax.tree.map(lambda p: jnp.zeros(p.shape), params)}

    def update(updates: Tree, state: Tree, params: Tree = None, **_: Any) -> Any:
        del params
        return updates, {"sum": gradtx.tree.add(state["sum"], updates)}

    with problems.on(kind) as over:
        params = laid(tree(), over)
        tx = zero1(gradtx.GradientTransformation(init, update), "d")
        state = jax.jit(tx.init)(params)
        once = jax.jit(tx.update)(params, state, params)[1]
        assert held(state) == held(once) == (16 + 8 * 32 + 24 * 4) * 4 // 8 + 60


@both_kinds
def test_zero1_hands_parts_on_and_keeps_parts(kind: AxisType) -> None:
    """Gradients and parameters are in parts before the inner step is taken.

    Slots that come out of it whole are brought to parts, from `init` and from a step.
    """
    seen = []
    with problems.on(kind) as over:

        def whole(like: Tree) -> Tree:
            return laid(jax.tree.map(np.zeros_like, jax.device_get(like)), over)

        def update(updates: Tree, state: Tree, params: Tree) -> Any:
            seen.extend(jax.tree.leaves((updates, params)))
            return updates, {"sum": whole(state["sum"])}

        inner = gradtx.GradientTransformation(lambda p: {"sum": whole(p)}, update)
        tx, params = zero1(inner, "d"), laid({"w": np.ones((3, 16))}, over)
        state = tx.init(params)
        updates, new = tx.update(params, state, params)
    for x in (*seen, state["sum"]["w"], new["sum"]["w"]):
        assert {shard.data.shape for shard in x.addressable_shards} == {(3, 2)}
    assert updates["w"].sharding.is_equivalent_to(params["w"].sharding, 2)
    assert len(seen) == 2


def test_zero1_sums_gradients_in_float32() -> None:
    """Where the gradients' type says that `zero1` has to sum them, it does so."""
    tx = zero1(gradtx.adamw(RATE), "d")

    def run(params: Tree, batch: Any) -> Any:
        parts = jax.tree.map(lambda p: jax.reshard(p, P(reduced={"d"})), params)
        grads = jax.grad(lambda p: jnp.sum(jnp.tanh(batch @ p["w"])))(parts)
        assert jax.typeof(grads["w"]).sharding.spec.unreduced == {"d"}
        return tx.update(grads, tx.init(params), params)

    with problems.on(AxisType.Explicit) as over:
        params = laid({"w": jnp.ones((4, 16), jnp.bfloat16)}, over)
        batch = laid({"x": jnp.ones((8, 4), jnp.bfloat16)}, over, P("d"))["x"]
        traced = jax.make_jaxpr(run)(params, batch)
        every = (equation for equation, _ in problems.operations(traced.jaxpr))
        moved = [x.invars[0].aval for x in every if x.primitive.name == "reshard"]
        assert [x.dtype for x in moved if x.sharding.spec.unreduced] == [jnp.float32]
        updates, state = jax.jit(run)(params, batch)
    assert updates["w"].dtype == jnp.bfloat16
    assert held(gradtx.tree.get(state, "mu")) == 4 * 16 * 2 / 8


@both_kinds
def test_zero1_beside_tensor_parallelism(kind: AxisType) -> None:
    """What is cut over one axis already is cut over the others besides, or together.

    A layout may be one for a whole subtree, and is read from the types where they tell.
    """
    with problems.on(kind, a=2, b=2, t=2) as over:
        params = laid(problems.noise({"w": jnp.zeros((8, 4))}, 0), over, P(None, "t"))
        grads = laid({"w": jnp.ones((8, 4))}, over, P(None, "t"))
        for layout in ({"w": P(None, "t")}, P(None, "t")):
            tx = zero1(gradtx.sgd(RATE, momentum=0.9), ("a", "b"), layout)
            state = jax.jit(tx.init)(params)
            _, new = jax.jit(partial(step, tx))(grads, state, params)
            assert held(state) == held(params) / 4
            assert new["w"].sharding.is_equivalent_to(params["w"].sharding, 2)
        if kind is AxisType.Explicit:
            told = zero1(gradtx.sgd(RATE, momentum=0.9), ("a", "b"))
            assert held(told.init(params)) == held(params) / 4


@both_kinds
def test_zero1_leaves_a_leaf_that_is_cut(kind: AxisType) -> None:
    """What lies in parts over the axis already stays as it lies."""
    with problems.on(kind) as over:
        params = laid({"w": jnp.ones((8, 16))}, over, P("d"))
        tx = zero1(gradtx.sgd(RATE, momentum=0.9), "d", P("d"))
        state, new = jax.jit(partial(step, tx))(params, tx.init(params), params)
        for x in (*jax.tree.leaves(state), new["w"]):
            assert x.sharding.is_equivalent_to(params["w"].sharding, 2)


def test_zero1_says_what_is_wrong() -> None:
    """A wrong axis, no mesh, another layout and shard_map are refused with a reason."""
    tx, whole = zero1(gradtx.adam(RATE), "d"), {"w": jnp.ones(16)}
    with pytest.raises(ValueError, match="the name of a mesh axis"):
        zero1(gradtx.adam(RATE), ())
    with pytest.raises(ValueError, match=r"zero1.*\['w'\].*lies on no mesh"):
        tx.init(whole)
    with problems.on(AxisType.Auto) as over:
        params = laid(whole, over)
        with pytest.raises(ValueError, match="no axis 'e'"):
            zero1(gradtx.adam(RATE), "e").init(params)
        with pytest.raises(ValueError, match="does not fit"):
            tx.replace(layout={"v": P()}).init(params)
        with pytest.raises(ValueError, match="more axes than the 1"):
            tx.replace(layout=P(None, "d")).init(params)
        inside = jax.shard_map(
            tx.init, mesh=over, in_specs=({"w": P("d")},), out_specs=P()
        )
        with pytest.raises(ValueError, match="within shard_map"):
            inside(params)


def test_zero1_is_a_value() -> None:
    """It prints with its layout, and its parts can be changed."""
    tx = zero1(gradtx.adam(RATE), ("a", "b"), {"w": P(None, "t")})
    assert tx == zero1(gradtx.adam(RATE), ("a", "b"), {"w": P(None, "t")})
    assert tx != tx.replace(axis="a")
    assert tx.replace(learning_rate=0.2) == zero1(
        gradtx.adam(0.2), ("a", "b"), {"w": P(None, "t")}
    )
    assert "axis=('a', 'b')" in repr(tx)


@both_kinds
def test_a_mesh_that_is_set_will_do(kind: AxisType) -> None:
    """Parameters on one device are taken to the mesh of `jax.set_mesh`."""
    over = problems.mesh(kind)
    with jax.set_mesh(over):
        state = zero1(gradtx.adam(RATE), "d").init({"w": jnp.ones(16)})
        assert held(state[0].mu) == 8


@both_kinds
@pytest.mark.one_in(2)
def test_gradients_on_one_device_are_taken_to_the_mesh(kind: AxisType) -> None:
    """Outside of jit, also of leaves beside which some cannot have a gradient."""
    over, w = problems.mesh(kind), jnp.arange(16.0)
    key, none = jax.random.key(0), np.zeros(8, jax.dtypes.float0)
    plain = gradtx.adam(RATE)
    tx = zero1(plain, "d")
    with jax.set_mesh(over):
        params = jax.device_put({"w": w, "i": jnp.arange(8), "k": key}, P())
        grads = {"w": np.cos(w), "i": none, "k": None}
        for g in (grads, {**grads, "w": jnp.cos(w)}):
            updates, state = tx.update(g, tx.init(params), params)
            assert {s.data.shape for s in state[0].mu["w"].addressable_shards} == {(2,)}
            expected = plain.update({"w": jnp.cos(w)}, plain.init({"w": w}), {"w": w})
            np.testing.assert_allclose(updates["w"], expected[0]["w"], rtol=1e-6)


def as_shapes(params: Tree) -> Tree:
    """Return the shapes, types and layouts of arrays."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), params
    )


ABSTRACT = {
    "adamw": gradtx.adamw(RATE),
    "8 bits": gradtx.adamw8bit(RATE),
    "zero1, offloaded": offload(zero1(gradtx.adafactor(RATE), "d"), 8),
}


@both_kinds
@pytest.mark.parametrize("tx", ABSTRACT.values(), ids=ABSTRACT)
@pytest.mark.one_in(2)
def test_a_state_is_known_before_it_is_made(tx: Any, kind: AxisType) -> None:
    """From arrays and from shapes: what a jitted `init` makes, and no array."""
    with problems.on(kind) as over:
        params = laid(tree(), over)
        wanted = jax.jit(tx.init)(params)
        before = {id(x) for x in jax.live_arrays()}
        for given in (params, as_shapes(params)):
            found = abstract_state(tx, given)
            assert jax.tree.structure(found) == jax.tree.structure(wanted)
            assert problems.shapes(found) == problems.shapes(wanted)
            assert_alike(places(found), places(wanted), wanted)
        made = [x for x in jax.live_arrays() if id(x) not in before]
        assert sum(x.nbytes for x in made) <= 16 * len(made)  # no more than numbers


def test_a_state_on_one_device_is_known_too() -> None:
    """Arrays that no one placed, and parameters that are no arrays."""
    params = {"w": jnp.ones((2, 3)), "f": jnp.tanh, "none": None}
    found = abstract_state(gradtx.adamw(RATE), params)
    wanted = gradtx.adamw(RATE).init(params)
    assert problems.shapes(found) == problems.shapes(wanted)
    assert places(found) == places(wanted)


@both_kinds
@pytest.mark.one_in(2)
def test_offload_keeps_large_arrays_on_the_host(kind: AxisType) -> None:
    """Between steps they lie there, and small ones do not; the steps are the same.

    The second step compiles nothing, and steps may be scanned.
    """
    whole, plain, tx = tree(), gradtx.adamw(RATE), offload(gradtx.adamw(RATE), 16)
    wanted = {"pinned_host": 2 * 3, "device": 2 * 1 + 1}
    with problems.on(kind) as over:
        params, expected = laid(whole, over), laid(whole, over)
        grads = laid(problems.noise(whole, 0), over)
        state, theirs = jax.jit(tx.init)(params), plain.init(expected)
        run, alone = jax.jit(partial(step, tx)), jax.jit(partial(step, plain))
        for t in range(2):
            before = problems.compiled()
            state, params = run(grads, state, params)
            assert problems.compiled() == before or not t
            theirs, expected = alone(grads, theirs, expected)
            assert kinds(state) == wanted
        problems.assert_close(jax.device_get(params), jax.device_get(expected))
        problems.assert_close(jax.device_get(state), jax.device_get(theirs))
        scan = jax.jit(
            lambda s, p: jax.lax.scan(
                lambda both, _: (step(tx, grads, *both), None), (s, p), length=2
            )[0]
        )
        assert kinds(scan(tx.init(params), params)[0]) == wanted


def test_offload_says_where_it_would_do_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before JAX 0.10 nothing is moved on CPUs; so it is refused there."""
    monkeypatch.setattr(jax, "__version_info__", (0, 8, 0))
    params = {"w": jnp.ones(8)}
    tx, state = offload(gradtx.adam(RATE), 4), gradtx.adam(RATE).init(params)
    for call in (tx.init, jax.jit(tx.init), partial(tx.update, params, state)):
        with pytest.raises(ValueError, match=r"offload.*JAX 0.10 or newer"):
            call(params)


def kinds(state: Tree) -> dict[str, int]:
    """Count the arrays in each kind of memory."""
    return dict(Counter(x.sharding.memory_kind for x in jax.tree.leaves(state)))
