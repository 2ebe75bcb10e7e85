"""Half-precision weights: they land where they are meant to, and do not stand still."""

import pickle
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from jax.sharding import AxisType

import gradtx

WRAPPERS = {
    "master": gradtx.with_master_weights,
    "compensation": gradtx.with_compensation,
    "stochastic": gradtx.with_stochastic_rounding,
}
every_wrapper = pytest.mark.parametrize("name", WRAPPERS)


def scaled(dtype: str) -> Any:
    """Draw numbers of any size that the type has, and 0."""
    low, high = (-40, 40) if dtype == "bfloat16" else (-13, 13)
    sizes = st.floats(2.0**low, 2.0**high, width=32)
    numbers = st.one_of(st.just(0.0), sizes, sizes.map(lambda x: -x))
    return hnp.arrays(np.float32, (64,), elements=numbers)


# An optimizer whose step is what it is given, in the precision that it is given in.
AS_GIVEN = gradtx.stateless(lambda u, p: u)  # noqa: ARG005


@partial(jax.jit, static_argnums=0)
def moved(wrapper: Any, p: Any, u: Any) -> Any:
    """Take one step by u; return the parameters, the state, and the move."""
    tx = wrapper(AS_GIVEN)
    move, state = tx.update(u, tx.init(p), p)
    return gradtx.apply_updates(p, move), state, move


def sums(p: Any, u: Any) -> Any:
    """Return p + u in float32, rounded to the type of p, as all libraries add them."""
    return (p.astype(np.float32) + u.astype(np.float32)).astype(p.dtype)


def reached(p: Any, target: Any) -> Any:
    """Return where p lands, of all updates of its type, nearest to a target."""
    wanted = (target.astype(np.float32) - p.astype(np.float32)).astype(p.dtype)
    bits = wanted.view(np.int16)
    near = [sums(p, (bits + np.int16(i)).view(p.dtype)) for i in (-1, 0, 1)]
    apart = [abs(x.astype(np.float32) - target.astype(np.float32)) for x in near]
    return np.where(apart[1] <= np.fmin(apart[0], apart[2]), near[1], np.nan)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@settings(max_examples=25)
@given(data=st.data())
@pytest.mark.one_in(2)
def test_it_lands_nearest(dtype: str, data: Any) -> None:
    """The parameter is as near to p + u as an update of its type can carry it.

    Whoever adds the update, and with no change of type. What is kept beside means
    p + u: the remainder to its own last bit, master weights where p is near them.
    """
    p = data.draw(scaled(dtype)).astype(dtype)
    wide = p.astype(np.float32)
    u = data.draw(scaled(dtype))
    near = data.draw(hnp.arrays(np.int8, (64,), elements=st.integers(0, 26)))
    for step in (u, wide * u, -wide * (1 - 2.0**-near).astype(np.float32)):
        x = np.clip(wide + step, -3e4, 3e4) if dtype == "float16" else wide + step
        step = x - wide  # noqa: PLW2901
        exact = wide + step
        info: Any = jnp.finfo(dtype)
        last = np.maximum(abs(exact) * float(info.eps), float(info.smallest_subnormal))
        for wrapper in (gradtx.with_master_weights, gradtx.with_compensation):
            q, state, move = moved(wrapper, p, step)
            assert move.dtype == q.dtype == dtype
            np.testing.assert_array_equal(q, reached(p, exact.astype(dtype)))
            for added in (optax.apply_updates(p, move), eqx.apply_updates(p, move)):
                assert added.dtype == dtype
                np.testing.assert_array_equal(added, q)
            landed, q = q, np.asarray(q, np.float32)
            if wrapper is gradtx.with_master_weights:
                there = abs(q - exact) <= last / 4
                np.testing.assert_array_equal(state.master[there], exact[there])
                _, after = wrapper(AS_GIVEN).update(0 * p, state, landed)
                assert (abs(after.master - q) <= 2 * last).all()
            else:
                np.testing.assert_array_equal(
                    state.remainder, (exact - q).astype(dtype)
                )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.one_in(2)
def test_rounding_at_random_is_right_wherever_it_leads(dtype: str) -> None:
    """The mean of where p lands is p + u, to its error, across 0 too.

    It lands on two numbers, apart by no more than the last bits of the largest.
    """
    starts = np.array([1, 1.5, 1, 1, 1.5, -0.75, 1, 2**-7, 0, 1, -3], dtype)
    ends = [1.001, 1.4, 0.301, -0.0003, -1.9, 0.3, 2.71, 3.1, 0.123, 1, 2.999]
    p = jnp.repeat(jnp.asarray(starts)[:, None], 4096, 1)
    x = jnp.float32(ends)[:, None] + jnp.zeros(p.shape)
    q, _, move = moved(gradtx.with_stochastic_rounding, p, x - p.astype("float32"))
    assert move.dtype == q.dtype == dtype
    np.testing.assert_array_equal(eqx.apply_updates(p, move), q)
    for one, start, end in zip(np.asarray(q, float), starts, ends, strict=True):
        found = np.unique(one)
        last = max(abs(end), abs(start), abs(end - start)) * jnp.finfo(dtype).eps
        assert len(found) <= 2
        assert abs(found - end).max() <= 2 * last
        assert abs(one.mean() - end) <= 4 * np.ptp(found) / 2 / 64 + 1e-7


@every_wrapper
def test_small_steps_are_not_lost(name: str) -> None:
    """A thousand steps of a 256th of the last bit move bfloat16 as they should.

    Added without these they are lost, all of them.
    """
    p = jnp.linspace(1, 1.9, 512).astype("bfloat16")
    step = jnp.full(512, 2.0**-15)
    plain = gradtx.apply_updates(p, step)
    np.testing.assert_array_equal(plain, p)
    tx = WRAPPERS[name](AS_GIVEN)

    @jax.jit
    def train() -> Any:
        def body(carry: Any, _: None) -> Any:
            p, state = carry
            move, state = tx.update(step, state, p)
            return (gradtx.apply_updates(p, move), state), None

        return jax.lax.scan(body, (p, tx.init(p)), length=1024)[0]

    q, _ = train()
    mean = float((q.astype(jnp.float32) - p.astype(jnp.float32)).mean())
    # The standard error of the mean of 512 numbers that are each rounded at random.
    few = {"master": 1e-3, "compensation": 1e-3, "stochastic": 4e-3}[name]
    assert abs(mean - 1024 * 2.0**-15) < few


def test_rounding_at_random_is_right_on_average() -> None:
    """The mean of 4096 parameters is x, and other keys and steps round otherwise."""
    p, u = jnp.ones(4096, "bfloat16"), jnp.full(4096, 0.3 * 2.0**-7)
    found = []
    for key in (0, jax.random.key(1), jnp.uint32([0, 2])):
        tx = gradtx.with_stochastic_rounding(AS_GIVEN, key)
        state = tx.init(p)
        for _ in range(2):
            move, state = tx.update(u, state, p)
            found.append(np.asarray(gradtx.apply_updates(p, move), np.float32))
            up = (found[-1] > 1).mean()
            assert abs(up - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 4096)
    for i, one in enumerate(found):
        assert not any((one == other).all() for other in found[:i])


@every_wrapper
@pytest.mark.one_in(2)
def test_bfloat16_training_follows_float32(name: str) -> None:
    """AdamW on a bowl with a small rate: what stands still without these goes down."""
    target = jnp.linspace(0.5, 1.5, 256)

    def train(tx: Any, p: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            p, state = carry
            g = (p.astype(jnp.float32) - target).astype(p.dtype)
            u, state = tx.update(g, state, p)
            return (gradtx.apply_updates(p, u), state), None

        p, _ = jax.lax.scan(body, (p, tx.init(p)), length=1000)[0]
        return float(jnp.mean(jnp.square(p.astype(jnp.float32) - target)))

    start = jnp.full(256, 3.0)
    adamw = gradtx.adamw(1e-3)
    best = train(adamw, start)
    stalled = train(adamw, start.astype("bfloat16"))
    assert stalled > 1.5 * best
    got = train(WRAPPERS[name](adamw), start.astype("bfloat16"))
    assert abs(got - best) < 0.02 * best


def test_what_they_keep() -> None:
    """Master weights are float32, remainders bfloat16; wide parameters cost nothing."""
    params = {"half": jnp.ones((4, 3), "bfloat16"), "wide": jnp.ones(3), "none": None}
    state = gradtx.with_master_weights(gradtx.adam(0.1)).init(params)
    assert state.master["half"].dtype == jnp.float32
    assert state.master["wide"] is None
    assert gradtx.tree.get(state, "mu")["half"].dtype == jnp.float32
    state = gradtx.with_compensation(gradtx.adam(0.1)).init(params)
    assert state.remainder["half"].dtype == jnp.bfloat16
    assert state.remainder["wide"] is None
    assert gradtx.tree.get(state, "mu")["half"].dtype == jnp.bfloat16
    state = gradtx.with_stochastic_rounding(gradtx.sgd(0.1)).init(params)
    assert sum(x.size for x in jax.tree.leaves(state)) == 2


@every_wrapper
def test_wide_parameters_are_left_alone(name: str) -> None:
    """Of float32 parameters the steps are those without the wrapper, bit for bit."""
    params = problems.small_tree()
    tx, plain = WRAPPERS[name](gradtx.adamw(0.1)), gradtx.adamw(0.1)
    state, expected = tx.init(params), plain.init(params)
    for t in range(3):
        grads = problems.noise(params, t)
        u, state = tx.update(grads, state, params)
        want, expected = plain.update(grads, expected, params)
        for one, other in zip(*map(jax.tree.leaves, (u, want)), strict=True):
            np.testing.assert_array_equal(one, other)


@every_wrapper
@pytest.mark.one_in(6)
def test_trees_of_every_kind(name: str) -> None:
    """Mixed types, scalars, None, gradients of None: jitted, donated, one program."""
    tx, params = WRAPPERS[name](gradtx.adamw(0.1)), problems.mixed_tree()
    traces = []

    def step(grads: Any, state: Any, params: Any) -> Any:
        traces.append(1)
        u, state = tx.update(grads, state, params)
        return state, gradtx.apply_updates(params, u)

    jitted = jax.jit(step, donate_argnums=(1, 2))
    state, kinds = tx.init(params), problems.shapes(params)
    carried = tx.init(params), jax.tree.map(jnp.copy, params)
    for t in range(3):
        grads = problems.noise(params, t)
        state, params = step(grads, state, params)
        carried = jitted(grads, *carried)
        problems.assert_close(carried, (state, params))
        assert problems.shapes(params) == kinds
    assert len(traces) == 4
    assert problems.shapes(tx.init(params)) == problems.shapes(state)
    grads = {**grads, "matrix": None, "nested": [None, (None,)]}
    _, still = step(grads, state, params)
    problems.assert_close(still["nested"], params["nested"])
    assert tx.update({}, tx.init({}), {})[0] == {}
    assert eval(repr(tx), vars(gradtx)) == tx  # noqa: S307
    assert pickle.loads(pickle.dumps(tx)) == tx  # noqa: S301


def test_a_changed_parameter_is_followed() -> None:
    """Parameters that are set anew between two steps are not set back by the master."""
    tx, p = gradtx.with_master_weights(gradtx.sgd(0.125)), jnp.ones(3, "bfloat16")
    g = jnp.ones(3, "bfloat16")
    _, state = tx.update(g, tx.init(p), p)
    p = jnp.bfloat16([4.0, 0.875, -2.0])
    u, state = tx.update(g, state, p)
    np.testing.assert_array_equal(state.master, [3.875, 0.75, -2.125])
    np.testing.assert_array_equal(gradtx.apply_updates(p, u), [3.875, 0.75, -2.125])


@every_wrapper
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.one_in(6)
def test_spread_over_devices(name: str, kind: AxisType) -> None:
    """Spread over eight devices the steps are the same, and nothing is moved."""
    whole = jax.tree.map(lambda x: x.astype("bfloat16"), problems.small_tree())
    tx = WRAPPERS[name](gradtx.adam(0.1))
    mesh = problems.mesh(kind)

    def step(grads: Any, state: Any, params: Any) -> Any:
        u, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, u), state

    expected, state = whole, tx.init(whole)
    with jax.set_mesh(mesh):
        params = problems.spread(whole, mesh)
        got, kept = params, tx.init(params)
        for t in range(2):
            grads = problems.noise(whole, t)
            expected, state = jax.jit(step)(grads, state, expected)
            got, kept = jax.jit(step)(problems.spread(grads, mesh), kept, got)
        for leaf in jax.tree.leaves((got, kept)):
            if leaf.shape == whole["w"].shape:
                assert leaf.sharding.is_equivalent_to(params["w"].sharding, 2)
    problems.assert_close(jax.device_get(got), jax.device_get(expected))


@every_wrapper
def test_what_is_refused(name: str) -> None:
    """An update without parameters, with what to do."""
    tx = WRAPPERS[name](gradtx.sgd(0.1))
    p = jnp.ones(3, "bfloat16")
    with pytest.raises(ValueError, match=rf"{name}.*call update\(updates, state"):
        tx.update(p, tx.init(p))
