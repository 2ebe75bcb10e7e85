"""State in few bits: of any transformation, right on average, as small as it says."""

import pickle
from functools import partial
from typing import Any

import configurations
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from catalogue import ROWS, Row
from flax import nnx, serialization
from flax.training.train_state import TrainState
from jax.sharding import AxisType

import gradtx
from gradtx import codecs
from gradtx.codecs import Encoded, float8, int4, int8, is_encoded
from gradtx.quantization.state import QuantizedState

Tree = Any
ADAM = {"mu": int8(), "nu": int8(signed=False)}


def encoded(state: Tree) -> list[Encoded]:
    """Return the arrays of a state that are encoded."""
    leaves = jax.tree.leaves(state, is_leaf=is_encoded)
    return [x for x in leaves if is_encoded(x)]


def size(tree: Tree) -> int:
    """Return the bytes of a tree."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def step(tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
    """Take one step: return the new parameters and the new state."""
    updates, state = tx.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state


# --- the contract ------------------------------------------------------------


@pytest.mark.parametrize(
    "row", configurations.once_each([row for row in ROWS if row.state_bytes])
)
@pytest.mark.one_in(32)
def test_every_method_keeps_its_state_in_eight_bits(row: Row) -> None:
    """With `int8` around it every method keeps types and shapes, and goes downhill.

    In one program for all settings, with the state donated; gradients of zero and huge
    ones leave everything finite.
    """
    tx = gradtx.quantize_state(row.build(), int8(), min_size=0)
    traces = []

    @partial(jax.jit, donate_argnums=(2,))
    def jitted(tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
        traces.append(1)
        extra = problems.extras(row, params, grads)
        updates, state = tx.update(grads, state, params, **extra)
        return gradtx.apply_updates(params, updates), state

    start = {"w": problems.small_tree()["w"]}
    state = tx.init(start)
    kinds, params = problems.shapes(state), start
    for t in range(row.steps):
        params, state = jitted(tx, problems.slope(params), state, params)
        assert t > 1 or problems.shapes(state) == kinds
    assert problems.bowl(params) < problems.bowl(start) / 5
    for gradient in (0.0, 300.0):
        params, state = start, tx.init(start)
        for _ in range(2):
            grads = problems.filled(start, gradient)
            params, state = jitted(tx, grads, state, params)
            assert problems.all_finite((params, gradtx.codecs.decoded(state)))
    other = jax.tree.map(lambda x: 0.9 * x, tx)
    jitted(other, grads, state, params)
    assert len(traces) == 1
    for same in (pickle.loads(pickle.dumps(tx)), jax.tree.map(lambda x: x, tx)):  # noqa: S301
        assert same == tx


# --- second moments ----------------------------------------------------------


CLAIMS = [
    codecs.bfloat16(),
    float8("e4m3"),
    float8("e5m2"),
    int8(),
    int8(signed=False),
    int8(signed=False, map="sqrt"),
    int8(signed=False, map="linear"),
    int4(signed=False),
    int4(signed=False, map="dynamic"),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("codec", CLAIMS, ids=str)
def test_the_mean_of_squares_forgets(codec: Any) -> None:
    """After 3000 steps of 1 it is 0.950, and 3000 steps of 0 later 0.047.

    To 2 %, in the mean over numbers that share a block with some that stay at 1, and
    with none: there the block's scale does not follow them.
    """
    tx = gradtx.quantize_state(gradtx.scale_by_adam(), {"nu": codec})
    n = 16384 if codec.recipe.factory.name == "int4" else 4096  # it scatters more
    stays = jnp.stack([jnp.arange(n) % 4 == 0, jnp.zeros(n, bool)])

    @jax.jit
    def train() -> Any:
        def body(state: Any, t: Any) -> Any:
            g = jnp.where(stays | (t < 3000), 1.0, 0.0)
            return tx.update(g, state)[1], None

        state = tx.init(jnp.zeros((2, n)))
        half, _ = jax.lax.scan(body, state, jnp.arange(3000))
        end, _ = jax.lax.scan(body, half, jnp.arange(3000, 6000))
        return [s.inner_state.nu.decode() for s in (half, end)]

    half, end = train()
    high, low = 1 - 0.999**3000, (1 - 0.999**3000) * 0.999**3000
    assert abs(float(half.mean()) / high - 1) < 0.02
    for row, still in zip(end, stays, strict=True):
        assert abs(float(row[~still].mean()) / low - 1) < 0.02


@pytest.mark.parametrize(
    ("codec", "why"),
    [
        (int8(rounding="nearest"), "nearest rounding undoes"),
        (int8(signed=False, rounding="nearest"), "nearest rounding undoes"),
        (float8(rounding="nearest"), "nearest rounding undoes"),
        (codecs.bfloat16("nearest"), "nearest rounding undoes"),
        (int4(map="linear"), "nothing between 0 and 0.067"),
        (int4(signed=False, map="linear"), "nothing between 0 and 0.067"),
    ],
    ids=str,
)
def test_formats_that_cannot_follow_are_refused(codec: Any, why: str) -> None:
    """A format in which a mean of squares stalls is refused with the reason.

    Its unsigned form is, where it has one.
    """
    params = {"w": jnp.zeros((8, 512))}
    for wanted in ({"nu": codec},) if codec.format.unsigned else (codec, {"nu": codec}):
        tx = gradtx.quantize_state(gradtx.scale_by_adam(), wanted)
        with pytest.raises(ValueError, match=rf"quantize_state: .*'nu/w'.*{why}"):
            tx.init(params)
    if not codec.format.unsigned:
        gradtx.quantize_state(gradtx.scale_by_lion(), codec).init(params)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("make", [gradtx.adam, gradtx.adabelief, gradtx.amsgrad])
def test_a_half_precision_mean_of_squares_is_refused(make: Any, dtype: str) -> None:
    """`nu_dtype` of 16 bits, in which 0.999 v rounds to v, is refused, and why."""
    with pytest.raises(ValueError, match=rf"{dtype}.*quantize_state"):
        make(0.1, nu_dtype=dtype).init(jnp.ones(3))
    make(0.1, mu_dtype=dtype, nu_dtype="float32").init(jnp.ones(3))


# --- what is encoded, and how large it is -------------------------------------


@pytest.mark.exhaustive
def test_bytes_for_each_parameter() -> None:
    """AdamW takes 2.05 bytes or less in 8 bits, 1.1 in 4; bfloat16 in all 6.1."""
    params = {"w": jnp.ones((64, 768)), "e": jnp.ones((1000, 48)), "b": jnp.ones(768)}
    count = sum(x.size for x in jax.tree.leaves(params))
    for tx, most in (
        (gradtx.adamw8bit(1e-3), 2.05),
        (gradtx.adamw4bit(1e-3), 1.1),
        (gradtx.lion8bit(1e-4), 1.03),
        (gradtx.quantize_state(gradtx.adamw(1e-3)), 2.05),
    ):
        # The vector of 768 is small, and so it keeps its 8 bytes or 4.
        extra = 8 * 768 if "adamw" in repr(tx) else 4 * 768
        assert size(tx.init(params)) - extra <= most * (count - 768)
    half = jax.tree.map(lambda x: x.astype("bfloat16"), params)
    for tx in (
        gradtx.with_compensation(gradtx.adamw8bit(1e-3)),
        gradtx.quantize_state(gradtx.with_compensation(gradtx.adamw(1e-3)), ADAM),
    ):
        assert size((half, tx.init(half))) <= 6.1 * count


@pytest.mark.parametrize("name", ["adamw8bit", "adamw4bit", "lion8bit"])
@pytest.mark.one_in(6)
def test_nothing_full_size_is_written_between(name: str) -> None:
    """A compiled step needs no float32 besides gradients and weights.

    What it needs are copies of the codes, which it still reads when it writes the new.
    """
    tx, params = getattr(gradtx, name)(1e-3), {"w": jnp.ones((128, 1024))}
    state = jax.eval_shape(tx.init, params)
    jitted = jax.jit(partial(step, tx), donate_argnums=(1, 2))
    needed = jitted.lower(params, state, params).compile().memory_analysis()
    assert needed.temp_size_in_bytes <= 1.1 * size(state)


def test_a_function_of_the_user_is_called_once() -> None:
    """A jitted step measures its blocks first, but not by calling a function twice."""
    calls = []

    def height(params: Tree) -> Any:
        calls.append(1)
        return problems.bowl(params)

    params = problems.small_tree()
    for tx, count in ((gradtx.contrib.sophia(0.1), 1), (gradtx.adam(0.1), 0)):
        tx = gradtx.quantize_state(tx, min_size=0)  # noqa: PLW2901
        calls.clear()
        jax.make_jaxpr(partial(tx.update, obj_fn=height))(
            params, tx.init(params), params
        )
        assert len(calls) == count


def test_small_and_other_arrays_stay() -> None:
    """Counts, scalars, keys, complex and small arrays are as without the wrapper."""
    params = {
        "large": jnp.ones((64, 64)),
        "small": jnp.ones((63, 65)),
        "scalar": jnp.ones(()),
        "complex": jnp.ones((64, 64), complex),
    }
    tx = gradtx.chain(gradtx.adam(0.1), gradtx.add_noise(0.1, 0.5))
    plain, state = tx.init(params), gradtx.quantize_state(tx).init(params)
    # The two means of the large one, and the real mean of squares of the complex one.
    assert [x.shape for x in encoded(state)] == [(64, 64)] * 3
    inner = state.inner_state
    assert problems.shapes(gradtx.codecs.decoded(inner)) == problems.shapes(plain)
    assert inner[0][0].mu["small"].dtype == jnp.float32
    assert inner[0][0].count.dtype == jnp.int32


def test_which_slots() -> None:
    """Arrays are chosen by field, class and field, path, layer, function and size."""
    params = {"w": jnp.ones((64, 64)), "embed": jnp.ones((64, 64))}
    tx = gradtx.adamw(0.1)

    def found(*args: Any, **settings: Any) -> set[str]:
        state = gradtx.quantize_state(tx, *args, **settings).init(params)
        nodes = jax.tree_util.tree_leaves_with_path(state, is_leaf=is_encoded)
        return {jax.tree_util.keystr(path) for path, x in nodes if is_encoded(x)}

    def paths(*names: str) -> set[str]:
        return {
            f".inner_state[0].{slot}['{leaf}']"
            for slot, leaf in (name.split("/") for name in names)
        }

    every = paths("mu/w", "mu/embed", "nu/w", "nu/embed")
    assert found() == found(ADAM) == every
    assert found({"mu": int8()}) == paths("mu/w", "mu/embed")
    nu = int8(signed=False)
    assert found({"ScaleByAdamState.nu": nu}) == paths("nu/w", "nu/embed")
    assert found({"0/mu": int8()}) == paths("mu/w", "mu/embed")
    assert found({(0, "nu", "w"): nu}) == paths("nu/w")
    assert found({"embed": None, **ADAM}) == paths("mu/w", "nu/w")
    last = found(where=lambda path, x: x.ndim == 2 and path[-1].key == "w")
    assert last == paths("mu/w", "nu/w")
    assert found(min_size=4097) == set()


def test_copies_of_the_weights_stay() -> None:
    """The slow weights of Lookahead and master weights keep all bits, unless named."""
    params = {"w": jnp.linspace(0, 1, 4096).reshape(64, 64)}
    slow = gradtx.lookahead(gradtx.adam(0.1), 2, 0.5)
    state = gradtx.quantize_state(slow).init(params)
    assert len(encoded(state)) == 2
    np.testing.assert_array_equal(gradtx.eval_params(state, params)["w"], params["w"])
    state = gradtx.quantize_state(slow, {"slow_params": codecs.bfloat16()}).init(params)
    assert [x.codec for x in encoded(state)] == [codecs.bfloat16()]
    got = gradtx.eval_params(state, params)["w"]
    np.testing.assert_allclose(got, params["w"], rtol=2.0**-7)
    half = jax.tree.map(lambda x: x.astype("bfloat16"), params)
    state = gradtx.quantize_state(gradtx.with_master_weights(slow)).init(half)
    assert not is_encoded(state.inner_state.master["w"])
    state = gradtx.quantize_state(gradtx.contrib.muon(0.1), min_size=0).init(params)
    assert len(encoded(state)) == 1  # the momentum, and no coefficients


def test_get_returns_arrays_and_set_takes_them() -> None:
    """`tree.get` reads what is encoded, at any depth; `tree.set` encodes again."""
    params = {"w": jnp.ones((64, 64))}
    tx = gradtx.adamw8bit(0.1)
    _, state = tx.update(params, tx.init(params), params)
    for key in ("mu", "ScaleByAdamState.mu", "inner_state/0/mu"):
        mu = gradtx.tree.get(state, key)
        np.testing.assert_allclose(mu["w"], 0.1, rtol=1e-6)
    assert isinstance(gradtx.tree.get(state, "mu")["w"], jax.Array)
    new = gradtx.tree.set(state, mu={"w": jnp.full((64, 64), 3.0)})
    assert jax.tree.structure(new) == jax.tree.structure(state)
    np.testing.assert_array_equal(gradtx.tree.get(new, "mu")["w"], 3.0)


# --- in company --------------------------------------------------------------


def wrapped() -> dict[str, Any]:
    """Return optimizers whose states have every form."""
    adam = partial(gradtx.adam, 0.05)
    quantized = gradtx.quantize_state(adam(), ADAM, min_size=0)
    return {
        "chain": gradtx.quantize_state(
            gradtx.chain(gradtx.clip_by_global_norm(1.0), adam()), min_size=0
        ),
        "inside a chain": gradtx.chain(gradtx.clip_by_global_norm(1.0), quantized),
        "partition": gradtx.quantize_state(
            gradtx.partition(
                {"a": adam(), "b": gradtx.lion(0.01)}, {"b": "a", "w": "b"}
            ),
            min_size=0,
        ),
        "masked": gradtx.quantize_state(
            gradtx.masked(adam(), {"b": True, "w": False}), min_size=0
        ),
        "inside masked": gradtx.masked(quantized, {"b": False, "w": True}),
        "accumulate": gradtx.quantize_state(gradtx.accumulate(adam(), 2), min_size=0),
        "inside accumulate": gradtx.accumulate(quantized, 2),
        "lookahead": gradtx.quantize_state(
            gradtx.lookahead(adam(), 2, 0.5), min_size=0
        ),
        "inside lookahead": gradtx.lookahead(quantized, 2, 0.5),
        "injected": gradtx.inject_hyperparams(gradtx.adamw8bit)(
            learning_rate=0.05, min_size=0
        ),
        "flatten": gradtx.quantize_state(gradtx.flatten(adam()), min_size=0),
        "four bits": gradtx.adamw4bit(0.05, min_size=0),
        "twice": gradtx.quantize_state(gradtx.lookahead(quantized, 2, 0.5), min_size=0),
    }


@pytest.mark.parametrize("name", wrapped())
@pytest.mark.one_in(12)
def test_states_of_every_form(name: str) -> None:
    """Around and inside other wrappers: one program, and restored as if never stopped.

    What is pickled, or taken apart into its arrays and put together in another state,
    goes on bit for bit.
    """
    tx, params = wrapped()[name], problems.small_tree()
    params["b"] = params["b"].astype("bfloat16")
    jitted = jax.jit(partial(step, tx))
    state = tx.init(params)
    structure = jax.tree.structure(state)
    assert encoded(state)
    for t in range(3):
        params, state = jitted(problems.noise(params, t), state, params)
        assert jax.tree.structure(state) == structure
    assert problems.compiled_at_most_once(jitted)
    saved = [np.asarray(x) for x in jax.tree.leaves(state)]
    copies = [
        pickle.loads(pickle.dumps(state)),  # noqa: S301
        jax.tree.unflatten(jax.tree.structure(tx.init(params)), saved),
        state,
    ]
    ends = []
    for restored in copies:
        p, s = params, restored
        for t in range(3, 5):
            p, s = jitted(problems.noise(p, t), s, p)
        ends.append((p, s))
    for end in ends[:-1]:
        for one, other in zip(*map(jax.tree.leaves, (end, ends[-1])), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_flax_train_state() -> None:
    """In a train state of Flax the steps are the same, and donation works."""
    params, tx = {"w": jnp.ones((64, 64))}, gradtx.adamw8bit(0.1)
    train_state = TrainState.create(apply_fn=None, params=params, tx=tx)
    grads = problems.noise(params, 0)
    advance = jax.jit(lambda s, g: s.apply_gradients(grads=g), donate_argnums=0)
    train_state = advance(train_state, grads)
    expected, _ = step(
        tx, grads, tx.init({"w": jnp.ones((64, 64))}), {"w": jnp.ones((64, 64))}
    )
    problems.assert_close(train_state.params, expected)


@pytest.mark.exhaustive
def test_flax_bytes() -> None:
    """What Flax writes as bytes it restores bit for bit."""
    params, tx = {"w": jnp.ones((64, 64))}, gradtx.adamw4bit(0.1)
    _, state = step(tx, problems.noise(params, 0), tx.init(params), params)
    restored = serialization.from_bytes(tx.init(params), serialization.to_bytes(state))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for one, other in zip(*map(jax.tree.leaves, (restored, state)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.exhaustive
def test_flax_nnx() -> None:
    """In an optimizer of Flax NNX, and with its variables, the steps are the same."""
    tx = gradtx.adamw8bit(0.1)

    def loss(model: Any) -> Any:
        return jnp.square(model(jnp.ones((4, 64)))).mean()

    @nnx.jit
    def train(model: Any, optimizer: Any) -> None:
        optimizer.update(model, nnx.grad(loss)(model))

    model, other = (nnx.Linear(64, 64, rngs=nnx.Rngs(0)) for _ in range(2))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    graph, params = nnx.split(other)
    state = tx.init(params)
    for _ in range(3):
        train(model, optimizer)
        grads = jax.grad(lambda p: loss(nnx.merge(graph, p)))(params)
        params, state = step(tx, grads, state, params)
    assert len(encoded(optimizer.opt_state)) == 2
    problems.assert_close(nnx.state(model), params)


def test_what_belongs_to_parameters_is_mapped() -> None:
    """`tree.map_params` reaches codes and scales, with the leaves of other trees."""
    params, tx = {"w": jnp.ones((64, 64)), "b": jnp.ones(3)}, gradtx.adamw8bit(0.1)
    state, names = tx.init(params), {"w": "w", "b": "b"}
    named = gradtx.tree.map_params(tx, lambda _, name: name, state, names)
    assert jax.tree.leaves(named.inner_state[0].mu) == ["b", "w", "w"]
    assert named.roundings == 0
    whole = gradtx.tree.map_params(
        tx, lambda _, name: name, state, names, is_leaf=is_encoded
    )
    assert jax.tree.leaves(whole.inner_state[0].mu) == ["b", "w"]


def test_orbax(tmp_path: Any) -> None:
    """A checkpoint of Orbax restores bit for bit."""
    ocp = pytest.importorskip("orbax.checkpoint")
    params, tx = {"w": jnp.ones((64, 64))}, gradtx.adamw4bit(0.1)
    _, state = step(tx, problems.noise(params, 0), tx.init(params), params)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", tx.init(params))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for one, other in zip(*map(jax.tree.leaves, (restored, state)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_does_not_move_keeps_its_bits() -> None:
    """Gradients of None leave the codes of their state as they are."""
    # The mean of bfloat16 parameters is read as bfloat16, and would be encoded anew.
    params = {name: jnp.ones((64, 64), "bfloat16") for name in ("still", "moving")}
    tx = gradtx.adamw8bit(0.1)
    _, state = tx.update(problems.noise(params, 0), tx.init(params), params)
    grads = {"still": None, "moving": params["moving"]}
    _, new = tx.update(grads, state, params)
    for slot in ("mu", "nu"):
        old, now = (getattr(s.inner_state[0], slot)["still"] for s in (state, new))
        for one, other in zip(*map(jax.tree.leaves, (old, now)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_first_step_is_that_of_the_method() -> None:
    """What is encoded is read only at the next step, so that the first is exact."""
    params = problems.noise({"w": jnp.ones((64, 64))}, 1)
    grads = problems.noise(params, 0)
    tx, plain = gradtx.adamw8bit(0.1), gradtx.adamw(0.1)
    got, _ = tx.update(grads, tx.init(params), params)
    expected, _ = plain.update(grads, plain.init(params), params)
    np.testing.assert_array_equal(got["w"], expected["w"])


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.one_in(2)
def test_spread_over_devices(kind: AxisType) -> None:
    """Over eight devices the steps are the same, the codes lie where the weights do.

    The second step compiles nothing new.
    """
    whole = problems.noise({"w": jnp.ones((32, 256)), "b": jnp.ones(3)}, 1)
    tx = gradtx.adamw8bit(0.1)
    expected, state = whole, tx.init(whole)
    mesh = problems.mesh(kind)
    with jax.set_mesh(mesh):
        for init in (tx.init, jax.jit(tx.init)):
            jitted = jax.jit(partial(step, tx), donate_argnums=(1, 2))
            params = problems.spread(whole, mesh)
            place, got = params["w"].sharding, params
            kept = init(params)
            for t in range(3):
                if init is tx.init:
                    grads = problems.noise(whole, t)
                    expected, state = step(tx, grads, state, expected)
                before = problems.compiled()
                grads = problems.spread(problems.noise(whole, t), mesh)
                got, kept = jitted(grads, kept, got)
                assert t == 0 or problems.compiled() == before
                for x in encoded(kept):
                    assert x.codes.sharding.is_equivalent_to(place, 2)
            problems.assert_close(jax.device_get(got), jax.device_get(expected))


@pytest.mark.exhaustive
def test_vmap_over_settings() -> None:
    """A sweep over learning rates, mapped, gives what a loop gives."""
    params = problems.small_tree()

    def train(tx: Any) -> Any:
        state, p = tx.init(params), params
        for t in range(2):
            p, state = step(tx, problems.noise(params, t), state, p)
        return p

    rates = jnp.float32([0.1, 0.01])
    make = partial(gradtx.adamw8bit, min_size=0)
    got = jax.vmap(lambda rate: train(make(rate)))(rates)
    for i, rate in enumerate(rates):
        one = jax.tree.map(lambda x, i=i: x[i], got)
        problems.assert_close(one, train(make(rate)))


# --- how well it trains ------------------------------------------------------


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["adamw8bit", "adamw4bit"])
def test_it_trains_as_float32_does(name: str) -> None:
    """Noisy regression with AdamW ends about where float32 ends."""
    rng = np.random.default_rng(0)
    target = jnp.float32(rng.normal(size=(64, 128)) * np.logspace(-2, 0, 128))

    def train(tx: Any) -> Any:
        def body(carry: Any, key: Any) -> Any:
            p, state = carry
            x = jax.random.normal(key, (32, 64))
            g = x.T @ (x @ (p - target)) / 32
            u, state = tx.update(g, state, p)
            return (p + u, state), None

        start = jnp.zeros((64, 128))
        keys = jax.random.split(jax.random.key(0), 600)
        p, _ = jax.lax.scan(body, (start, tx.init(start)), keys)[0]
        return float(jnp.mean(jnp.square(p - target)))

    best = train(gradtx.adamw(gradtx.cosine_decay_schedule(1e-2, 600)))
    got = train(getattr(gradtx, name)(gradtx.cosine_decay_schedule(1e-2, 600)))
    assert got < {"adamw8bit": 1.3, "adamw4bit": 3}[name] * best + 1e-6


# --- what is refused ---------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: gradtx.quantize_state(gradtx.adam(0.1), {"nuu": int8()}), "'nuu'.*nu"),
        (lambda: gradtx.quantize_state(gradtx.adam(0.1), {"9/mu": int8()}), "'9/mu'"),
        (lambda: gradtx.quantize_state(gradtx.adam(0.1), {"mu": 8}), "got 8 for 'mu'"),
        (lambda: gradtx.quantize_state(gradtx.adam(0.1), int8), "codecs such as"),
        (
            lambda: gradtx.quantize_state(gradtx.adam(0.1), int8(signed=False)),
            "is unsigned, but .*declare the slot",
        ),
        (lambda: gradtx.quantize_state(gradtx.adam(0.1), min_size=-1), "min_size"),
        (lambda: gradtx.adamw8bit(0.1, block=0), "int8.*block must be"),
        (lambda: gradtx.adamw4bit(0.1, block=0), "int4.*block must be"),
    ],
)
def test_what_is_refused(make: Any, match: str) -> None:
    """Slots that are not there, what is no codec, empty blocks: refused by name."""
    with pytest.raises(ValueError, match=match):
        make().init({"w": jnp.ones((64, 64))})


def test_a_state_of_its_own() -> None:
    """The state counts the roundings, which no two steps may share."""
    tx, params = gradtx.adamw8bit(0.1), {"w": jnp.ones((64, 64))}
    state = tx.init(params)
    assert isinstance(state, QuantizedState)
    for t in range(3):
        assert state.roundings == t
        _, state = tx.update(problems.noise(params, t), state, params)
