"""Averages and outer loops: what is peculiar to them, beyond rows and identities."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from methods import averaging

import gradtx

ADAM = gradtx.adam(0.1)


def gradients(count: int, size: int = 5) -> np.ndarray:
    """Return gradients for a vector."""
    return np.random.default_rng(0).normal(size=(count, size))


def run(tx: Any, params: Any, grads: Any) -> tuple[list[Any], list[Any]]:
    """Return the parameters after every step, and what one evaluates with."""
    state, path, shown = tx.init(params), [], []
    for g in grads:
        updates, state = tx.update(g, state, params)
        params = gradtx.apply_updates(params, updates)
        path.append(params)
        shown.append(gradtx.eval_params(state, params))
    return path, shown


# --- what one evaluates with -------------------------------------------------

EVALUATED: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "unbiased": (gradtx.average, {"decay": 0.8, "every": 3}),
    "every step": (gradtx.average, {"decay": 0.8, "every": 1}),
    "uniform": (gradtx.average, {"decay": None, "every": 2}),
    "from the start": (gradtx.average, {"decay": 0.8, "every": 1, "debias": False}),
    "tail": (gradtx.tail_average, {"start": 3, "decay": 0.8, "weight": 0.6}),
    "tail from 0": (gradtx.tail_average, {"start": 0, "decay": 0.8, "weight": 0.6}),
    "uniform tail": (gradtx.tail_average, {"start": 3, "decay": None, "weight": 1.0}),
    "ahead": (gradtx.ema_nesterov, {"step_size": 0.5, "decay": 0.8}),
    "primal": (gradtx.primal_averaging, {"train_interp": 0.8, "eval_interp": 0.9}),
    "decay at z": (gradtx.primal_averaging, {"weight_decay": 0.1}),
    "decay at y": (gradtx.primal_averaging, {"weight_decay": 0.1, "decay_at": "y"}),
    "weighted": (
        gradtx.primal_averaging,
        {"eval_interp": None, "weight_power": 1.0, "train_interp": 0.9},
    ),
}
PAPERS = {
    gradtx.average: averaging.averaged_adam,
    gradtx.tail_average: averaging.tail_averaged_adam,
    gradtx.ema_nesterov: averaging.ema_nesterov_adam,
    gradtx.primal_averaging: averaging.primal_averaging,
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", EVALUATED)
@pytest.mark.one_in(2)
def test_what_one_evaluates_with_is_the_papers(name: str) -> None:
    """After every step `eval_params` gives the average of the paper, to 1e-12."""
    wrap, settings = EVALUATED[name]
    grads = gradients(9)
    p0 = np.linspace(-1, 1, 5)
    with jax.disable_jit():
        path, shown = run(wrap(ADAM, **settings), jnp.asarray(p0), jnp.asarray(grads))
    follow = partial(PAPERS[wrap], p0, grads, learning_rate=0.1, **settings)
    np.testing.assert_allclose(path, follow(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(shown, follow(evaluate=True), rtol=0, atol=1e-12)


def test_a_start_that_was_put_in_its_place() -> None:
    """The first parameters have no part in an unbiased mean, nor in that of a tail."""
    start, grads = jnp.ones(3), jnp.ones((2, 3))
    for tx in (gradtx.average(gradtx.sgd(0.1), 0.9), gradtx.tail_average(ADAM, 1)):
        state, params = tx.init(1e6 * start), start
        for g in grads:
            updates, state = tx.update(g, state, params)
            params = gradtx.apply_updates(params, updates)
        assert (jnp.abs(gradtx.eval_params(state, params)) < 2).all()


def test_a_schedule_says_when_to_look_ahead() -> None:
    """Where the step size is 0, parameters and what one evaluates with are the same."""
    tx = gradtx.ema_nesterov(ADAM, lambda t: jnp.where((t > 1) & (t < 4), 0.5, 0), 0.9)
    path, shown = run(tx, jnp.ones(5), jnp.asarray(gradients(6)))
    alike = [bool((x == y).all()) for x, y in zip(path, shown, strict=True)]
    assert alike == [True, False, False, True, True, True]


# --- a single pass -----------------------------------------------------------

SINGLE: dict[str, tuple[Callable[..., Any], str]] = {
    "average": (partial(gradtx.average, decay=0.9), "every"),
    "tail": (partial(gradtx.tail_average, decay=0.9), "start"),
    "outer": (partial(gradtx.outer_nesterov, outer_momentum=0.5), "every"),
    "look": (partial(gradtx.lookahead, slow_step_size=0.5), "sync_period"),
    "reset": (
        partial(gradtx.lookahead, slow_step_size=0.5, reset_state=True),
        "sync_period",
    ),
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.one_in(5)
def test_a_single_pass_changes_no_number(name: str) -> None:
    """Mapped, with master weights, with functions, with a period that is not known."""
    wrap, period = SINGLE[name]
    start = {"w": jnp.linspace(-1, 2, 12).reshape(3, 4), "h": jnp.bfloat16([1, -2])}
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), start)
    searching = gradtx.chain(
        gradtx.sgd(1.0, momentum=0.9), gradtx.scale_by_backtracking_linesearch(3)
    )

    def trained(tx: Any, params: Any) -> Any:
        def step(now: Any, _: None) -> Any:
            value, grad = problems.bowl(now[0]), problems.slope(now[0])
            extra = {"value": value, "grad": grad, "value_fn": problems.bowl}
            updates, state = tx.update(grad, now[1], now[0], **extra)
            return (gradtx.apply_updates(now[0], updates), state), None

        params, state = jax.lax.scan(step, (params, tx.init(params)), length=5)[0]
        return params, gradtx.eval_params(state, params)

    @partial(jax.jit, static_argnames="single_pass")
    def found(k: Any, single_pass: bool) -> Any:
        made = partial(wrap, single_pass=single_pass)
        known, unknown = (made(ADAM, **{period: x}) for x in (2, k))
        return (
            trained(unknown, start),
            jax.vmap(partial(trained, known))(stacked),
            trained(gradtx.with_master_weights(known), start),
            trained(made(searching, **{period: 2}), start),
        )

    one, other = (found(2, single_pass=either) for either in (True, False))
    problems.assert_close(one, other)
    problems.assert_close(one[0], jax.tree.map(lambda x: x[0], one[1]))


# --- special cases -----------------------------------------------------------


@pytest.mark.parametrize("period", [1, 3])
def test_lookahead_is_outer_nesterov_without_momentum(period: int) -> None:
    """With μ = 0 the outer rate is Lookahead's α: the same path and slow weights."""
    grads = [problems.noise(problems.small_tree(), t) for t in range(5)]
    outer = gradtx.outer_nesterov(ADAM, period, 0.3, 0.0)
    look = gradtx.lookahead(ADAM, period, 0.3)
    one, other = [run(tx, problems.small_tree(), grads) for tx in (outer, look)]
    problems.assert_close(one, other)


@pytest.mark.parametrize("power", [0.0, 2.0])
@pytest.mark.one_in(2)
def test_schedule_free_is_a_primal_averaging(power: float) -> None:
    """Without a length of the average it is Schedule-Free, with any base and rate."""
    rate = gradtx.linear_schedule(0.1, 0.3, 4)
    base = gradtx.sgd(rate)
    primal = gradtx.primal_averaging(base, 0.9, None, weight_lr_power=power)
    free = gradtx.schedule_free(base, rate, 0.9, power)
    grads = [problems.noise(problems.small_tree(), t) for t in range(5)]
    one, other = [run(tx, problems.small_tree(), grads) for tx in (primal, free)]
    problems.assert_close(one, other)


def test_only_what_is_used_needs_a_rate() -> None:
    """A rate is looked for where the average or a decay needs it, and only there."""
    direction = gradtx.chain(gradtx.scale_by_adam(), gradtx.scale(-0.1))
    gradtx.primal_averaging(direction)
    settings: Any = ({"eval_interp": None}, {"weight_decay": 0.1})
    for needing in settings:
        with pytest.raises(ValueError, match="primal_averaging: learning_rate is not"):
            gradtx.primal_averaging(direction, **needing)
        gradtx.primal_averaging(direction, learning_rate=0.1, **needing)
    with pytest.raises(ValueError, match='decay_at must be "z" or "y"'):
        gradtx.primal_averaging(ADAM, decay_at="x")


# --- in company --------------------------------------------------------------


def test_an_average_stands_last_in_a_chain() -> None:
    """Around nothing, last in a chain, it is the average around the method."""
    grads = [problems.noise(problems.small_tree(), t) for t in range(4)]
    last = gradtx.chain(ADAM, gradtx.average(gradtx.identity(), 0.9, every=2))
    around = gradtx.average(ADAM, 0.9, every=2)
    one, other = [run(tx, problems.small_tree(), grads) for tx in (last, around)]
    problems.assert_close(one, other)


WRAPPERS = {
    "average": partial(gradtx.average, decay=0.9),
    "tail": partial(gradtx.tail_average, start=10, decay=0.95),
    "ahead": partial(gradtx.ema_nesterov, decay=0.9),
    "outer": partial(gradtx.outer_nesterov, every=4, outer_momentum=0.5),
    "primal": gradtx.primal_averaging,
}


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.one_in(6)
def test_averages_of_half_precision_follow_float32(name: str) -> None:
    """With bfloat16 weights kept as they should be, so is what one evaluates with."""
    start = jnp.linspace(-1, 2, 32).astype(jnp.bfloat16)
    tx = WRAPPERS[name](gradtx.adam(2e-3))
    kept = {
        gradtx.with_master_weights: 4e-3,
        gradtx.with_compensation: 4e-3,
        gradtx.with_stochastic_rounding: 2e-2,
    }

    def evaluated(tx: Any, params: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            params, state = carry
            updates, state = tx.update(problems.slope(params), state, params)
            return (gradtx.apply_updates(params, updates), state), None

        first = params, tx.init(params)
        params, state = jax.lax.scan(body, first, length=60)[0]
        return gradtx.eval_params(state, params)

    @jax.jit
    def train() -> Any:
        wide = evaluated(tx, start.astype(jnp.float32))
        return wide, evaluated(tx, start), [evaluated(keep(tx), start) for keep in kept]

    wide, lost, narrow = train()
    for found, bound in zip(narrow, kept.values(), strict=True):
        assert found.dtype == jnp.bfloat16
        assert jnp.abs(found.astype(jnp.float32) - wide).mean() < bound
    assert jnp.abs(lost.astype(jnp.float32) - wide).mean() > 3e-2
