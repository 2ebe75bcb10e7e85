"""The contract: every property that an optimizer must have, for every row."""

import copy
import functools
import pickle
from contextlib import nullcontext
from functools import partial
from typing import Any

import catalogue
import configurations
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from catalogue import ROWS, Row
from jax.sharding import AxisType, PartitionSpec as P

import gradtx
from gradtx import contrib
from gradtx.lowering.varying import varying_axes

every_row = pytest.mark.parametrize("row", ROWS, ids=catalogue.NAMES)
Tree = Any


def one_by_one(test: Any) -> Any:
    """Run a test operation by operation: rows share those, and compile little."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        with jax.disable_jit():
            test(**given)

    return run


# What an optimizer is printed in.
NAMES: dict[str, Any] = {}
for module in (*catalogue.FAMILIES, contrib, gradtx):
    NAMES |= vars(module)


def step(row: Row, tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
    """Take one step: return the updates, the new state, the new parameters."""
    extra = problems.extras(row, params, grads)
    updates, state = tx.update(grads, state, params, **extra)
    return updates, state, gradtx.apply_updates(params, updates)


def other_numbers(tx: Any) -> Any:
    """Return the optimizer with all its numbers a little smaller."""
    return jax.tree.map(lambda x: 0.9 * x, tx)


# --- one step ----------------------------------------------------------------


@every_row
@pytest.mark.one_in(3)
def test_jitted_steps(row: Row) -> None:
    """Types and shapes stay, jit changes nothing, one program serves all settings.

    The optimizer is an argument of the jitted step, and its parameters and fresh state
    are donated: neither shares a buffer with the other. Whatever size the gradients
    have, all stays finite.
    """
    traces = []

    @partial(jax.jit, donate_argnums=(2, 3))
    def jitted(tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
        traces.append(tx)
        return step(row, tx, grads, state, params)

    tx = row.build()
    params = problems.mixed_tree()
    state = tx.init(params)
    expected = problems.shapes(params), problems.shapes(state)
    assert problems.shapes(jax.eval_shape(tx.init, params)) == expected[1]
    carried = tx.init(params), jax.tree.map(jnp.copy, params)
    for t in range(2):
        grads = problems.noise(params, t)
        with jax.disable_jit():
            updates, state, params = step(row, tx, grads, state, params)
        u, s, p = jitted(tx, grads, *carried)
        carried = s, p
        assert (problems.shapes(u), problems.shapes(s)) == expected
        assert problems.shapes(p) == expected[0]
        problems.assert_close((u, s, p), (updates, state, params), rtol=1e-4)
    jitted(other_numbers(tx), grads, *carried)
    _bears_gradients_of_any_size(row, partial(jitted, tx), tx.init)
    assert len(traces) == 1
    assert problems.compiled_at_most_once(jitted)


def _bears_gradients_of_any_size(row: Row, take: Any, init: Any) -> None:
    """Whether they are zero, tiny or huge, all stays finite, and huge ones do move."""
    start = problems.mixed_tree()
    wrong = jax.tree.map(lambda x: x.dtype.itemsize < 4, start)

    def gradients(size: float, half: float) -> Tree:
        noise = problems.noise(start, 0)
        return jax.tree.map(lambda g, h: g * (half if h else size), noise, wrong)

    calm = problems.noise(start, 1)
    kinds = {"zero": gradients(0, 0), "tiny": gradients(1e-30, 1e-6)}
    kinds |= {"huge": gradients(1e20, 300)}
    for kind, extreme in kinds.items():
        params, state, path = jax.tree.map(jnp.copy, start), init(start), []
        for grads in (extreme, extreme, calm, calm):
            updates, state, params = take(grads, state, params)
            path.append(updates)
        assert not problems.not_finite((path, state, params)), kind
        moves = [bool((x != 0).any()) for x in jax.tree.leaves(path[0]) if x.size]
        # Where leaves share a step size, it may be lost on those of small gradients.
        enough = all if row.leafwise else any
        assert kind != "huge" or row.waits or enough(moves), "huge gradients are lost"


@every_row
@pytest.mark.one_in(3)
def test_descends_a_bowl(row: Row, exhaustive: bool) -> None:
    """The row goes downhill, and mapped over settings and starts does what loops do.

    The loop is a `scan` inside of a `vmap` over two optimizers and two starts.
    """
    rates = row.settings["learning_rate"] * np.array([1.0, 0.9])
    optimizers = [row.build(learning_rate=float(rate)) for rate in rates]
    starts = [problems.small_tree(), problems.noise(problems.small_tree(), 0)]

    def descend(tx: Any, params: Tree) -> Any:
        def body(carry: Any, _: None) -> Any:
            params, state = carry
            _, state, params = step(row, tx, problems.slope(params), state, params)
            return (params, state), params

        return jax.lax.scan(body, (params, tx.init(params)), length=row.steps)

    def stack(*trees: Tree) -> Tree:
        return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(y) for y in x]), *trees)

    carry, path = jax.jit(jax.vmap(descend))(stack(*optimizers), stack(*starts))
    assert problems.all_finite(carry)
    for i, (tx, start) in enumerate(zip(optimizers, starts, strict=True)):
        first, last = (problems.bowl(x) for x in (start, _at(carry[0], i)))
        assert last < first / 20
        if i and not exhaustive:
            continue
        params, state = start, tx.init(start)
        for t in range(2):
            with jax.disable_jit():
                _, state, params = step(row, tx, problems.slope(params), state, params)
            problems.assert_close(_at(_at(path, i), t), params)


def _at(tree: Tree, i: int) -> Tree:
    return jax.tree.map(lambda x: x[i], tree)


# --- numbers at the edge -----------------------------------------------------


@every_row
@pytest.mark.one_in(3)
@one_by_one
def test_the_gradient_through_update_is_finite(row: Row) -> None:
    """Steps are differentiable in gradients, parameters, and every setting."""
    tx, start = row.build(), {"w": problems.small_tree()["w"]}

    def height(tx: Any, grads: Tree, params: Tree, factors: Any) -> Any:
        state = tx.init(params)
        for factor in factors:
            scaled = jax.tree.map(lambda g, f=factor: f * g, grads)
            _, state, params = step(row, tx, scaled, state, params)
        return problems.bowl(params)

    tx = jax.tree.map(jnp.asarray, tx)
    slopes = jax.grad(height, argnums=(0, 1, 2))
    zero, noise = problems.filled(start, 0.0), problems.noise(start, 0)
    for grads, factors in ((zero, [1.0]), (noise, [1.0, 0.5])):
        d_tx, d_grads, d_params = slopes(tx, grads, start, factors)
        assert not problems.not_finite((d_tx, d_grads, d_params))
    assert any(x != 0 for x in jax.tree.leaves(d_tx))
    assert all((x != 0).any() for x in jax.tree.leaves(d_params))


@every_row
@one_by_one
def test_complex_parameters(row: Row) -> None:
    """Complex parameters keep their type and go downhill, or are refused as such."""
    params = {"z": jnp.array([1 + 1j, -2 + 0.3j, 0.2 - 1j])}
    tx, grads = row.build(), problems.noise(params, 0)
    if not row.complex:
        with pytest.raises(ValueError, match="complex"):
            step(row, tx, grads, tx.init(params), params)
        return
    state = tx.init(params)
    kinds = problems.shapes(state)
    for t in range(3):
        updates, state, params = step(row, tx, grads, state, params)
        assert updates["z"].dtype == params["z"].dtype == jnp.complex64
        assert problems.shapes(state) == kinds
        assert problems.all_finite((updates, state))
        assert t > 0 or row.waits or jnp.vdot(grads["z"], updates["z"]).real < 0


# --- trees -------------------------------------------------------------------


@every_row
@pytest.mark.one_in(3)
@one_by_one
def test_trees_of_every_kind(row: Row) -> None:
    """Empty trees, NumPy arrays, floats, gradients that are None: all step twice."""
    tx = row.build()
    for params in ({}, (), [], {"a": np.ones(2, np.float32)}, 1.0):
        grads, state = params, tx.init(params)
        for _ in range(2):
            extra = problems.extras(row, params, grads)
            updates, state = tx.update(grads, state, params, **extra)
            assert jax.tree.structure(updates) == jax.tree.structure(params)
    params = {"still": jnp.ones(2), "moving": jnp.float32([1, -2])}
    grads = {"still": None, "moving": jnp.float32([0.3, 0.4])}
    state = tx.init(params)
    for t in range(2):
        updates, new, moved = step(row, tx, grads, state, params)
        assert updates["still"] is None
        assert (moved["still"] == params["still"]).all()
        waiting = row.waits and t == 0
        assert waiting or (moved["moving"] != params["moving"]).all()
        assert problems.shapes(new) == problems.shapes(state)
        params, state = moved, new


@every_row
def test_what_does_not_fit_is_refused(row: Row) -> None:
    """A gradient of integers, other trees, other shapes: refused, with the path."""
    tx = row.build()
    params = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
    state = tx.init(params)
    extra = problems.extras(row, params, params)
    whole = {**params, "b": jnp.arange(2)}
    with pytest.raises(ValueError, match=r"\['b'\] is of type int32.*gradient"):
        tx.update(params, tx.init(whole), whole, **extra)
    for key, wrong in {"b": jnp.ones(3), "w": jnp.ones((2, 3))}.items():
        with pytest.raises(ValueError, match=rf"\['{key}'\].*shape"):
            tx.update({**params, key: wrong}, state, params, **extra)
    with pytest.raises(ValueError, match=r"\['more'\]"):
        tx.update({**params, "more": jnp.ones(2)}, state, params, **extra)
    with pytest.raises(ValueError, match=r"\['b'\]"):
        tx.update({"w": params["w"]}, state, params, **extra)


@pytest.mark.parametrize("row", configurations.once_each(ROWS))
def test_a_state_of_another_shape_is_refused(row: Row, exhaustive: bool) -> None:
    """A number where an array was is not broadcast: one in each state, or any."""
    tx, params = row.build(), problems.small_tree()
    extra = problems.extras(row, params, params)
    state = tx.init(params)
    arrays, _ = jax.tree_util.tree_flatten_with_path(state)
    paths = [path for path, x in arrays if jnp.ndim(x)]
    if not paths:
        return
    for wrong in paths if exhaustive else [configurations.one_of(row, paths)]:
        broken = jax.tree_util.tree_map_with_path(
            lambda path, x, wrong=wrong: x.ravel()[0] if path == wrong else x, state
        )
        with pytest.raises(ValueError, match=r"shape .*\(\)"):
            jax.eval_shape(partial(tx.update, **extra), params, broken, params)


@every_row
@one_by_one
def test_without_parameters(row: Row) -> None:
    """Without `params` the update is the same, or refused with how to call it."""
    tx, params = row.build(), problems.small_tree()
    grads, state = problems.noise(params, 0), tx.init(params)
    extra = problems.extras(row, params, grads)
    expected = tx.update(grads, state, params, **extra)
    try:
        got = tx.update(grads, state, **extra)
    except ValueError as error:
        assert "update(updates, state, params" in str(error)  # noqa: PT017
    else:
        problems.assert_close(got, expected)


# --- values ------------------------------------------------------------------


@every_row
def test_is_a_value(row: Row) -> None:
    """Equal, hashed, pickled, copied, printed and rebuilt from leaves unchanged."""
    tx, other = row.build(), other_numbers(row.build())
    leaves, treedef = jax.tree.flatten(tx)
    assert leaves
    assert all(isinstance(x, float | int) for x in leaves)
    same = [
        row.build(),
        pickle.loads(pickle.dumps(tx)),  # noqa: S301
        copy.copy(tx),
        copy.deepcopy(tx),
        jax.tree.unflatten(treedef, leaves),
        eval(repr(tx), NAMES.copy()),  # noqa: S307
    ]
    for x in same:
        assert x == tx
        assert hash(x) == hash(tx)
        assert repr(x) == repr(tx)
    assert other != tx
    assert repr(other) != repr(tx)
    assert jax.tree.structure(other) == treedef
    init, update = tx
    assert init is tx.init
    assert update is tx.update


@every_row
def test_wrong_settings_are_refused(row: Row) -> None:
    """NaN, for every number: refused, by name."""
    tx = row.build()
    assert "learning_rate" in _numbers(tx)
    for name in _numbers(tx):
        with pytest.raises(ValueError, match=rf"{name}.*nan"):
            _replace_all(tx, name, float("nan"))


# The methods to which the rate is more than a factor of the step: a bound, a weight, or
# the way in which all that is compared with the gradient goes.
BOUND_BY_RATE = (
    "cautious, adam",
    "dadapt",
    "dog",
    "dowg",
    "hyperball",
    "lbfgs",
    "madgrad",
    "mechanize",
    "momo",
    "muown",
    "primal_averaging, weighted",
    "prodigy",
    "relative_update",
    "row_floor",
    "rprop",
    "soap_muon",
    "splus",
)


@every_row
@one_by_one
def test_a_negative_rate_goes_uphill(row: Row) -> None:
    """As in optax, wherever the rate only scales; elsewhere it is refused, by name."""
    if row.name.startswith((*BOUND_BY_RATE, "schedule_free")):
        with pytest.raises(ValueError, match=r"learning_rate.*-1"):
            row.build(learning_rate=-1.0)
        return
    params = problems.small_tree()
    grads, moves = problems.noise(params, 0), []
    for sign in (1, -1):
        tx = row.build(learning_rate=sign * row.settings["learning_rate"])
        state = tx.init(params)
        for _ in range(1 + row.waits):
            updates, state, _ = step(row, tx, grads, state, params)
        moves.append(updates)
    for down, up in zip(*map(jax.tree.leaves, moves), strict=True):
        assert jnp.vdot(down, up) < 0


def _numbers(tx: Any) -> set[str]:
    """Return the names of the settings that are numbers, in all the parts."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tx)]
    return {path[-1].name for path in paths if hasattr(path[-1], "name")}


def _replace_all(tx: Any, name: str, value: float) -> Any:
    """Make the optimizer with another value for every setting of that name."""

    def one(path: Any, leaf: Any) -> Any:
        return value if getattr(path[-1], "name", None) == name else leaf

    changed = jax.tree_util.tree_map_with_path(one, tx)
    return eval(repr(changed), {**NAMES, "nan": float("nan")})  # noqa: S307


@every_row
def test_state(row: Row) -> None:
    """The state goes through its leaves and pickle, and is as large as the row says."""
    tx, params = row.build(), {"b": jnp.ones(2), "w": jnp.ones((3, 2))}
    state = tx.init(params)
    leaves, treedef = jax.tree.flatten(state)
    problems.assert_close(jax.tree.unflatten(treedef, leaves), state)
    copied = pickle.loads(pickle.dumps(state))  # noqa: S301
    problems.assert_close(copied, state)
    # Random keys, of uint32, are no state of a parameter.
    size = sum(x.nbytes for x in leaves if x.ndim and x.dtype != jnp.uint32)
    assert size == row.state_bytes * sum(x.size for x in jax.tree.leaves(params))


# --- in company --------------------------------------------------------------


MASK = {"params": True, "beside": False}
# Ways around an optimizer, with what they are given besides its parameters.
AROUND = {
    "in optax": lambda tx: optax.chain(optax.scale(1.0), tx),
    "optax in ours": lambda tx: gradtx.chain(optax.scale(1.0), tx, optax.identity()),
    "masked by optax": lambda tx: optax.masked(tx, MASK),
    "masked": lambda tx: gradtx.masked(tx, MASK),
}
# Optax passes extra arguments on to its own class only.
TAKES_EXTRA = ("optax in ours", "masked")


def ways(row: Row) -> tuple[str, ...]:
    """Return the ways around a row."""
    return TAKES_EXTRA if row.needs else tuple(AROUND)


@pytest.mark.parametrize(("row", "way"), configurations.tried(ROWS, ways))
@pytest.mark.one_in(3)
def test_composes_with_optax(row: Row, way: str) -> None:
    """Inside `optax.chain`, with optax inside of ours, masked: the same steps.

    Extra arguments that nobody knows are ignored. Nothing is jitted, and when the same
    steps are taken again nothing is compiled.
    """
    params = {"w": problems.small_tree()["w"]}
    tx, grads = row.build(), problems.noise(params, 0)
    extra = {**problems.extras(row, params, grads), "unknown": object()}
    beside = {"c": jnp.ones(2)} if way.startswith("masked") else {}

    def run(tx: Any) -> list[Tree]:
        state, moved, path = tx.init(params), params, []
        for _ in range(4):
            updates, state = tx.update(grads, state, moved, **extra)
            moved = optax.apply_updates(moved, updates)
            path.append(updates)
        return path

    expected, before = run(tx), problems.compiled()
    run(tx)
    assert problems.compiled() == before, "steps that are not jitted compile anew"
    other, p = AROUND[way](tx), {"params": params, "beside": beside}
    s = other.init(p)
    for want in expected[:2]:
        with jax.disable_jit():
            u, s = other.update({"params": grads, "beside": beside}, s, p, **extra)
        p = optax.apply_updates(p, u)
        for key, x in beside.items():
            assert u["beside"][key] is x
        problems.assert_close(u["params"], want, rtol=1e-4)


# --- many devices ------------------------------------------------------------


def meshes(row: Row) -> tuple[AxisType, ...]:
    """Return the kinds of meshes that a row is tried on: both."""
    del row
    return AxisType.Auto, AxisType.Explicit


@pytest.mark.parametrize(("row", "kind"), configurations.tried(ROWS, meshes, once=True))
@pytest.mark.one_in(3)
def test_on_eight_devices(row: Row, kind: AxisType) -> None:
    """Spread over devices, the steps are the same, and nothing moves off its place.

    The state of `init`, jitted or not, is laid out as the parameters are and may be
    donated, and the second step compiles nothing new. So it is on meshes of both kinds.
    """
    tx, whole = row.build(), problems.small_tree()
    expected, state = whole, tx.init(whole)
    for t in range(2):
        grads = problems.noise(whole, t)
        with jax.disable_jit():
            _, state, expected = step(row, tx, grads, state, expected)
    over = problems.mesh(kind)
    with jax.set_mesh(over) if kind is AxisType.Explicit else nullcontext():
        _stays_on_its_devices(row, over, expected)


def _stays_on_its_devices(row: Row, over: Any, expected: Tree) -> None:
    tx, whole = row.build(), problems.small_tree()
    jitted = jax.jit(partial(step, row, tx), donate_argnums=(1, 2))
    programs = 0
    for init in (tx.init, jax.jit(tx.init)):
        params = problems.spread(whole, over)
        state = init(params)
        places = _places(state, whole["w"].shape)
        assert all(_alike(x, params["w"].sharding) for x in places), init
        for t in range(2):
            grads = problems.spread(problems.noise(whole, t), over)
            before = problems.compiled()
            _, state, params = jitted(grads, state, params)
            programs += problems.compiled() - before
            assert len(jax.tree.leaves(params)[0].sharding.device_set) == 8
            stayed = _places(state, whole["w"].shape)
            assert all(map(_alike, stayed, places))
        problems.assert_close(jax.device_get(params), jax.device_get(expected))
    # JAX 0.8 parts some vectors otherwise after the first step, for either `init`.
    assert 1 <= programs <= (1 if jax.__version_info__ >= (0, 10) else 3)


@every_row
@pytest.mark.one_in(3)
def test_within_shard_map(row: Row) -> None:
    """Within `shard_map` every device takes, in a scan, the steps of its own piece.

    The type of a value says whether it varies over the devices. A state is made to vary
    as it will after a step, and a leaf that is the same on every device stays the same,
    unless the method looks at all leaves together.
    """
    # Newton and Schulz's steps make rounding in the bases before them a thousandfold.
    with jax.enable_x64(row.name == "soap_muon"):
        assert_within_shard_map(row)


def assert_within_shard_map(row: Row) -> None:
    """Steps of two pieces within `shard_map` are those of each alone."""
    whole = problems.small_tree()
    # Square pieces: the eigenvectors that a gradient of low rank leaves open, rounding
    # decides, and that differs between a program and single operations.
    whole["w"] = whole["w"][:4]
    pieces = [{"b": whole["b"], "w": w} for w in jnp.split(whole["w"], 2)]
    specs = {"b": P() if row.leafwise else P("d"), "w": P("d")}
    if not row.leafwise:
        whole["b"] = jnp.concatenate([piece["b"] for piece in pieces])

    def steps(params: Tree) -> Tree:
        # Every part gets noise of its own, unlike the same piece alone.
        tx = row.build(**({"eta": 0.0} if "eta" in row.settings else {}))

        def body(carry: Any, _: None) -> Any:
            params, state = carry
            _, state, params = step(row, tx, problems.slope(params), state, params)
            return (params, state), None

        return jax.lax.scan(body, (params, tx.init(params)), length=2)[0][0]

    over = _pair_of_devices()
    mapped = jax.shard_map(steps, mesh=over, in_specs=(specs,), out_specs=specs)
    got = jax.device_get(jax.jit(mapped)(whole))
    with jax.disable_jit():
        alone = [steps(piece) for piece in pieces]
    for i, expected in enumerate(alone):
        parts = {k: np.split(x, 2)[i] if specs[k] else x for k, x in got.items()}
        problems.assert_close(parts, expected)


@every_row
def test_init_leaves_shard_map(row: Row) -> None:
    """Where parameters are whole on every device, all that `init` makes is: `P()`."""
    with jax.enable_x64(row.name == "soap_muon"):
        mapped = jax.shard_map(
            row.build().init, mesh=_pair_of_devices(), in_specs=P(), out_specs=P()
        )
        jax.eval_shape(mapped, problems.small_tree())


# What a clip counts, where there might be one.
MIGHT_VARY = {".clipped"}


@every_row
@pytest.mark.one_in(3)
def test_counts_that_no_shard_decides_leave_shard_map(row: Row) -> None:
    """What a step leaves the same on every device, `init` of shards makes the same.

    A count of steps leaves `shard_map` with `P()`. One that hangs on what a device
    found in its shard varies from the start, as it will after a step, so that a scan
    may carry it.
    """
    tx = row.build()
    whole = {"b": jnp.ones(4), "w": problems.small_tree()["w"][:4]}
    found: list[Any] = []

    def local(params: Tree, state: Any) -> Tree:
        made = tx.init(params)
        for _ in range(2):
            _, state, params = step(row, tx, problems.slope(params), state, params)
        found.extend(map(_varying_counts, (made, state)))
        return params

    with jax.enable_x64(row.name == "soap_muon"):
        piece = jax.tree.map(lambda x: x[:2], whole)
        alike = P("d"), P()
        mapped = jax.shard_map(
            local, mesh=_pair_of_devices(), in_specs=alike, out_specs=P("d")
        )
        jax.eval_shape(mapped, whole, jax.eval_shape(tx.init, piece))
    assert found[0] == found[1]


def _varying_counts(state: Tree) -> set[str]:
    pairs = jax.tree_util.tree_leaves_with_path(state)
    counts = {
        jax.tree_util.keystr(path): x
        for path, x in pairs
        if not x.shape and jnp.issubdtype(x.dtype, jnp.integer)
    }
    return {path for path, x in counts.items() if varying_axes(x)} - MIGHT_VARY


def _pair_of_devices() -> Any:
    return jax.make_mesh((2,), ("d",), (AxisType.Auto,), devices=jax.devices()[:2])


def _places(state: Tree, shape: Any) -> list[Any]:
    return [x.sharding for x in jax.tree.leaves(state) if x.shape == shape]


def _alike(one: Any, other: Any) -> bool:
    return one.is_equivalent_to(other, 2)
