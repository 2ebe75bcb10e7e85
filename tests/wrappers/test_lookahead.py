"""Lookahead: what is peculiar to it. Its trajectory is held in `test_papers.py`."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from methods import adam, descent, wrappers

import gradtx


def gradients(count: int) -> list[Any]:
    """Return gradients for the small tree."""
    return [problems.noise(problems.small_tree(), seed) for seed in range(count)]


def run(tx: Any, params: Any, grads: list[Any]) -> tuple[list[Any], Any]:
    """Return the parameters after every step, and the last state."""
    state, path = tx.init(params), []
    for g in grads:
        updates, state = tx.update(g, state, params)
        params = gradtx.apply_updates(params, updates)
        path.append(params)
    return path, state


# --- the algorithm -----------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize(
    ("make", "paper", "settings"),
    [
        (gradtx.adam, adam.adam, {"learning_rate": 0.1, "eps": 1e-3}),
        (gradtx.sgd, descent.sgd, {"learning_rate": 0.1, "momentum": 0.9}),
    ],
    ids=["adam", "momentum"],
)
def test_follows_algorithm_1(
    make: Any, paper: Any, settings: dict[str, float], period: int, *, reset: bool
) -> None:
    """Fast and slow weights are those of the paper, for several periods, at 1e-12."""
    rng = np.random.default_rng(0)
    p0, grads = rng.normal(size=7), list(rng.normal(size=(12, 7)))
    tx = gradtx.lookahead(make(**settings), period, 0.3, reset)
    with jax.disable_jit():
        path, state = run(tx, jnp.asarray(p0), [jnp.asarray(g) for g in grads])
    expected = wrappers.lookahead(
        p0,
        grads,
        fast=paper,
        sync_period=period,
        slow_step_size=0.3,
        reset_state=reset,
        **settings,
    )
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-13)
    last = len(grads) - len(grads) % period
    np.testing.assert_allclose(
        state.slow_params, expected[last - 1], rtol=1e-12, atol=1e-13
    )
    assert state.steps_since_sync == len(grads) % period


def test_a_whole_slow_step_changes_nothing() -> None:
    """With α = 1 and no reset the parameters are those of the fast optimizer."""
    params, fast = problems.small_tree(), gradtx.adam(0.1)
    got, state = run(gradtx.lookahead(fast, 2, 1.0), params, gradients(4))
    expected, _ = run(fast, params, gradients(4))
    problems.assert_close(got, expected, rtol=1e-6)
    problems.assert_close(state.slow_params, expected[-1], rtol=1e-6)


def test_no_slow_step_goes_back_to_the_start() -> None:
    """With α = 0 every synchronisation leads back to where it all began."""
    params = problems.small_tree()
    path, state = run(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.0), params, gradients(4))
    problems.assert_close([path[1], path[3]], [params, params])
    problems.assert_close(state.slow_params, params)
    assert (path[0]["b"] != params["b"]).all()


@pytest.mark.parametrize("period", [0, -1, 1.5])
def test_a_wrong_period_is_refused(period: Any) -> None:
    """The period must be a whole number of at least 1."""
    with pytest.raises(ValueError, match=r"lookahead.*sync_period.*at least 1"):
        gradtx.lookahead(gradtx.sgd(0.1), period, 0.5)


# --- parameters held together ------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("pair", [gradtx.LookaheadParams, optax.LookaheadParams])
@pytest.mark.one_in(2)
def test_pairs_of_fast_and_slow(pair: Any, *, reset: bool) -> None:
    """Parameters held as a pair, ours or optax's, move as optax moves them."""
    ours = pair.init_synced(problems.small_tree())
    theirs = optax.LookaheadParams.init_synced(problems.small_tree())
    tx = gradtx.lookahead(gradtx.adam(0.1), 2, 0.3, reset)
    other = optax.lookahead(optax.adam(0.1), 2, 0.3, reset)
    state, state_of_other = tx.init(ours), other.init(theirs)
    assert state._fields == state_of_other._fields
    for g in gradients(5):
        updates, state = tx.update(g, state, ours)
        assert type(updates) is type(ours)
        expected, state_of_other = other.update(g, state_of_other, theirs)
        problems.assert_close(updates.fast, expected.fast)
        problems.assert_close(updates.slow, expected.slow)
        ours = gradtx.apply_updates(ours, updates)
        theirs = optax.apply_updates(theirs, expected)
    problems.assert_close(gradtx.eval_params(state, ours), theirs.slow)


def test_pairs_and_plain_parameters_move_alike() -> None:
    """It makes no difference who keeps the slow weights."""
    params, tx = problems.small_tree(), gradtx.lookahead(gradtx.adam(0.1), 2, 0.3)
    pairs, _ = run(tx, gradtx.LookaheadParams.init_synced(params), gradients(5))
    plain, state = run(tx, params, gradients(5))
    problems.assert_close([x.fast for x in pairs], plain)
    problems.assert_close(pairs[-1].slow, state.slow_params)


def test_pairs_with_missing_gradients() -> None:
    """A leaf whose gradient is None stands still, its slow weights too."""
    pair = gradtx.LookaheadParams.init_synced(problems.small_tree())
    tx = gradtx.lookahead(gradtx.sgd(0.1), 1, 0.5)
    grads = {**gradients(1)[0], "b": None}
    updates, _ = tx.update(grads, tx.init(pair), pair)
    moved = gradtx.apply_updates(pair, updates)
    for weights in moved:
        np.testing.assert_array_equal(weights["b"], problems.small_tree()["b"])
        assert (weights["w"] != problems.small_tree()["w"]).all()


def test_plain_parameters_on_the_state_of_a_pair_are_refused() -> None:
    """That state holds no slow weights, and the error says what to do."""
    params = problems.small_tree()
    tx = gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    state = tx.init(gradtx.LookaheadParams.init_synced(params))
    with pytest.raises(ValueError, match=r"lookahead.*LookaheadParams.*re-initialize"):
        tx.update(gradients(1)[0], state, params)


def test_nothing_is_aliased() -> None:
    """Fresh pairs and fresh states may be donated: no buffer is in them twice."""
    pair = gradtx.LookaheadParams.init_synced(problems.small_tree())
    jax.jit(lambda x: jax.tree.map(jnp.negative, x), donate_argnums=0)(pair)
    params = problems.small_tree()
    tx = gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    state, grads = tx.init(params), gradients(1)[0]
    jax.jit(tx.update, donate_argnums=(1, 2))(grads, state, params)


# --- starting anew -----------------------------------------------------------


def test_reset_forgets_what_was_bad() -> None:
    """After a synchronisation with reset, the fast state is that of a fresh start.

    Types stay as they are, and NaN in the state does not outlive the reset.
    """
    fast = gradtx.chain(gradtx.zero_nans(), gradtx.ema(0.9), gradtx.sgd(0.1))
    tx = gradtx.lookahead(fast, 2, 0.5, reset_state=True)
    params = problems.small_tree()
    _, state = run(tx, params, gradients(2))
    fresh = fast.init(params)
    problems.assert_close(state.fast_state, fresh)
    bad = jax.tree.map(lambda g: g * jnp.nan, gradients(1)[0])
    tx = gradtx.lookahead(gradtx.adam(0.1), 2, 0.5, reset_state=True)
    _, state = run(tx, params, [bad, gradients(1)[0]])
    problems.assert_close(state.fast_state, gradtx.adam(0.1).init(params))


# --- in company --------------------------------------------------------------


def test_extra_arguments_reach_the_fast_optimizer() -> None:
    """What `update` is given beyond the parameters, the fast optimizer gets."""

    def update(updates: Any, state: Any, params: Any = None, *, value: Any) -> Any:
        del params
        return jax.tree.map(lambda g: -value * g, updates), state

    fast = gradtx.GradientTransformation(lambda _: (), update)
    tx = gradtx.lookahead(fast, 5, 0.5)
    params = jnp.ones(2)
    updates, _ = tx.update(params, tx.init(params), params, value=3.0, unknown=0)
    np.testing.assert_array_equal(updates, -3 * params)


def test_the_slow_weights_of_few_bits() -> None:
    """In bfloat16 the parameters meet the slow weights to one rounding, types stay.

    Whether the step is jitted or not, they meet bit for bit in the same place.
    """
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), problems.small_tree())
    grads = [jax.tree.map(lambda g: g.astype(jnp.bfloat16), g) for g in gradients(6)]
    tx = gradtx.lookahead(gradtx.adam(jnp.float32(0.1)), 3, 0.5)
    path, state = run(tx, params, grads)
    assert problems.shapes(state) == problems.shapes(tx.init(params))
    assert all(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(path))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(state.slow_params))
    slow = gradtx.eval_params(state, path[-1])
    jax.tree.map(np.testing.assert_array_equal, slow, path[-1])
    tx = gradtx.lookahead(gradtx.sgd(0.125), 3, 0.5)  # with it nothing else is rounded
    both = run(tx, params, grads), jax.jit(partial(run, tx))(params, grads)
    jax.tree.map(np.testing.assert_array_equal, *both)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: tx,
        lambda tx: gradtx.chain(gradtx.clip(1.0), tx),
        lambda tx: gradtx.named_chain(("clip", gradtx.clip(1.0)), ("main", tx)),
        lambda tx: optax.chain(optax.clip(1.0), gradtx.masked(tx, mask=True)),
    ],
    ids=["alone", "chain", "named_chain", "optax.chain, masked"],
)
def test_eval_params_finds_the_slow_weights(wrap: Any) -> None:
    """However deep the state lies, `eval_params` gives the slow weights."""
    params = problems.small_tree()
    look = gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    tx = wrap(look)
    grads = [jax.tree.map(lambda g: jnp.clip(g, -1, 1), g) for g in gradients(3)]
    path, state = run(tx, params, grads)
    problems.assert_close(gradtx.eval_params(state, path[-1]), path[1])


def test_eval_params_of_a_part() -> None:
    """Where a mask hides a leaf from Lookahead, its current weights are returned."""
    params = problems.small_tree()
    mask = {"b": True, "w": False}
    tx = gradtx.chain(
        gradtx.masked(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5), mask),
        gradtx.masked(gradtx.scale(-0.1), {"b": False, "w": True}),
    )
    path, state = run(tx, params, gradients(3))
    got = gradtx.eval_params(state, path[-1])
    problems.assert_close(got, {"b": path[1]["b"], "w": path[2]["w"]})
    alone = gradtx.adam(0.1)
    problems.assert_close(gradtx.eval_params(alone.init(params), params), params)


def test_eval_params_of_lookahead_in_lookahead() -> None:
    """Of two, the outer one decides: its slow weights are the steadier."""
    params = problems.small_tree()
    inner = gradtx.lookahead(gradtx.sgd(0.1), 1, 0.5)
    tx = gradtx.lookahead(inner, 2, 0.5)
    path, state = run(tx, params, gradients(3))
    problems.assert_close(gradtx.eval_params(state, path[-1]), path[1])


def test_it_is_jitted_like_any_other() -> None:
    """`eval_params` works on traced states."""
    params, tx = problems.small_tree(), gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    got = jax.jit(partial(gradtx.eval_params))(tx.init(params), params)
    problems.assert_close(got, params)


def test_a_reset_reads_no_weights_to_place_its_zeros() -> None:
    """What replaces a state has its place already, so that zeros depend on nothing."""
    params = {"w": jnp.ones((8, 2))}
    tx = gradtx.lookahead(gradtx.trace(0.9), 2, 0.5, reset_state=True)
    state = jax.eval_shape(tx.init, params)
    step = str(jax.make_jaxpr(tx.update)(params, state, params))
    assert " abs " in str(jax.make_jaxpr(tx.init)(params))
    assert " abs " not in step
