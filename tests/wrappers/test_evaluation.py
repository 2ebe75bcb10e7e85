"""`eval_params`: what it finds at any depth, and what it says of several averages."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx

SGD = gradtx.sgd(0.1)
MEAN = gradtx.average(gradtx.identity(), None)
LOOK = gradtx.lookahead(SGD, 2, 0.5)
START = {"b": jnp.ones(2), "w": jnp.arange(4.0).reshape(2, 2)}


def trained(tx: Any, params: Any = None, steps: int = 3) -> tuple[Any, list[Any]]:
    """Return the last state and the parameters after every step."""
    params = START if params is None else params
    grads = jax.tree.map(jnp.ones_like, params)
    state, path = tx.init(params), []
    for _ in range(steps):
        updates, state = tx.update(grads, state, params)
        params = gradtx.apply_updates(params, updates)
        path.append(params)
    return state, path


def mean(trees: list[Any]) -> Any:
    """Return the mean of some trees."""
    return jax.tree.map(lambda *x: sum(x) / len(x), *trees)


AROUND: dict[str, Callable[[Any], Any]] = {
    "chain": lambda tx: gradtx.chain(gradtx.clip(9.0), tx),
    "named_chain": lambda tx: gradtx.named_chain(("first", tx)),
    "partition": lambda tx: gradtx.partition({"all": tx}, "all"),
    "masked": lambda tx: gradtx.masked(tx, mask=True),
    "accumulate": lambda tx: gradtx.accumulate(tx, 1),
    "apply_if_finite": lambda tx: gradtx.apply_if_finite(tx, 3),
    "inject_hyperparams": lambda tx: gradtx.inject_hyperparams(
        lambda rate: gradtx.chain(gradtx.scale(rate), tx)
    )(rate=1.0),
    "flatten": gradtx.flatten,
    "pack_small_leaves": gradtx.pack_small_leaves,
    "split_real_and_imaginary": gradtx.split_real_and_imaginary,
    "with_master_weights": gradtx.with_master_weights,
    "with_compensation": gradtx.with_compensation,
    "with_stochastic_rounding": gradtx.with_stochastic_rounding,
    "quantize_state": lambda tx: gradtx.quantize_state(tx, gradtx.codecs.int8()),
    "two of them": lambda tx: gradtx.masked(
        gradtx.partition({"all": gradtx.chain(tx)}, "all"), mask=True
    ),
}


@pytest.mark.parametrize("way", AROUND)
@pytest.mark.one_in(6)
def test_it_finds_a_mean_at_any_depth(way: str) -> None:
    """Whatever stands around it, the mean of the weights is found."""
    state, path = trained(AROUND[way](gradtx.average(SGD, None)))
    problems.assert_close(gradtx.eval_params(state, path[-1]), mean(path))


def test_an_average_within_lookahead_is_hidden() -> None:
    """Of two within one another the outer one decides; the inner one can be named."""
    state, path = trained(gradtx.average(LOOK, None))
    find = partial(gradtx.eval_params, state, path[-1])
    problems.assert_close(find(), mean(path))
    problems.assert_close(find("/inner_state"), path[1])
    problems.assert_close(find("LookaheadSlowState"), path[1])
    problems.assert_close(find("AverageState"), mean(path))
    state, path = trained(gradtx.lookahead(gradtx.average(SGD, None), 2, 0.5))
    problems.assert_close(gradtx.eval_params(state, path[-1]), path[1])


def test_an_average_ahead_of_which_gradients_are_taken() -> None:
    """Within EMA-Nesterov the mean is of the weights, not of where gradients are."""
    tx = gradtx.ema_nesterov(gradtx.average(SGD, None), 0.5, 0.5)
    plain = gradtx.ema_nesterov(SGD, 0.5, 0.5)
    shown = []
    for steps in (1, 2, 3):
        state, path = trained(plain, steps=steps)
        shown.append(gradtx.eval_params(state, path[-1]))
    state, path = trained(tx)
    problems.assert_close(gradtx.eval_params(state, path[-1]), mean(shown))


@pytest.mark.parametrize(
    "around", [lambda tx: tx, gradtx.with_master_weights, gradtx.flatten]
)
def test_several_are_named(around: Any) -> None:
    """Two that average the same leaves are refused by name, and one can be chosen."""
    state, path = trained(around(gradtx.chain(LOOK, MEAN)))
    find = partial(gradtx.eval_params, state, path[-1])
    both = r"LookaheadSlowState at '.*0' and AverageState at '.*1' average the same"
    with pytest.raises(ValueError, match=both + r".*which='.*0'"):
        find()
    problems.assert_close(find(which="AverageState"), mean(path))
    problems.assert_close(find(which="LookaheadSlowState"), path[1])


def test_two_of_a_kind_are_chosen_by_place() -> None:
    """Where the class does not tell two apart, the place in the state does."""
    last = gradtx.average(gradtx.identity(), 0.0)
    state, path = trained(gradtx.chain(SGD, MEAN, last))
    with pytest.raises(ValueError, match="'/1' and AverageState at '/2'"):
        gradtx.eval_params(state, path[-1], "AverageState")
    problems.assert_close(gradtx.eval_params(state, path[-1], "/1"), mean(path))
    problems.assert_close(gradtx.eval_params(state, path[-1], (2,)), path[-1])
    with pytest.raises(ValueError, match=r"which='/0' names no part.*there are Ave"):
        gradtx.eval_params(state, path[-1], "/0")
    with pytest.raises(ValueError, match="there are none"):
        gradtx.eval_params(SGD.init(START), START, "AverageState")


def test_averages_of_different_leaves_go_together() -> None:
    """Two that stand side by side, each for leaves of its own, are both taken."""
    for label in ("b", "w"):
        mask = {"b": label == "b", "w": label == "w"}
        tail = gradtx.masked(gradtx.tail_average(gradtx.identity(), 9), mask)
        other = gradtx.masked(MEAN, {k: not x for k, x in mask.items()})
        state, path = trained(gradtx.chain(SGD, tail, other))
        expected = {**mean(path), label: path[-1][label]}
        problems.assert_close(gradtx.eval_params(state, path[-1]), expected)
    parts: Any = {"look": LOOK, "mean": gradtx.average(SGD, None)}
    state, path = trained(gradtx.partition(parts, {"b": "look", "w": "mean"}))
    expected = {"b": path[1]["b"], "w": mean(path)["w"]}
    problems.assert_close(gradtx.eval_params(state, path[-1]), expected)


@pytest.mark.parametrize(
    "beside",
    [
        gradtx.with_master_weights,
        gradtx.pack_small_leaves,
        lambda tx: gradtx.flatten(gradtx.with_master_weights(tx)),
    ],
)
@pytest.mark.one_in(2)
def test_what_only_shows_is_no_average(beside: Any) -> None:
    """A wrapper that shows parameters otherwise stands beside a mean in peace."""
    start = jax.tree.map(lambda x: x.astype(jnp.bfloat16), START)
    tx = gradtx.chain(beside(SGD), gradtx.average(gradtx.identity(), 0.0))
    state, path = trained(tx, start)
    problems.assert_close(gradtx.eval_params(state, path[-1]), path[-1])


class Kept(NamedTuple):
    """A user's state that averages: a method makes it one."""

    half: Any

    def averaged_params(self, params: Any) -> Any:
        """Return half of the parameters."""
        return jax.tree.map(lambda p: p * self.half, params)


def test_a_users_state_takes_part() -> None:
    """Any class with a method `averaged_params` is found, jitted too."""

    def update(updates: Any, state: Any, params: Any = None, **_: Any) -> Any:
        del params
        return updates, state

    tx = gradtx.GradientTransformation(lambda _: Kept(jnp.float32(0.5)), update)
    state = gradtx.chain(SGD, tx).init(START)
    for find in (gradtx.eval_params, jax.jit(gradtx.eval_params)):
        found = find(state, START)
        jax.tree.map(lambda x, p: np.testing.assert_array_equal(x, p / 2), found, START)
