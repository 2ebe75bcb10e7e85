"""A step is compiled once, whatever stands around it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx

from gradtx.wrappers.accumulate import accumulate
from gradtx.wrappers.condition import apply_if_finite, conditionally_transform

MAKERS: list[Callable[[Any], Any]] = [
    lambda tx: accumulate(tx, 2),
    lambda tx: accumulate(tx, 1),
    lambda tx: apply_if_finite(tx, 3),
    lambda tx: conditionally_transform(tx, lambda step: step % 2 == 0),
    lambda tx: gradtx.lookahead(tx, 2, 0.5),
]


@pytest.mark.parametrize("make", MAKERS)
def test_a_loop_that_is_not_jitted_compiles_once(make: Callable[[Any], Any]) -> None:
    """From the second step on nothing is compiled, whichever branch is taken."""
    tx, params = make(gradtx.adam(0.1)), problems.small_tree()
    state = tx.init(params)
    counts = []
    for _ in range(4):
        before = problems.compiled()
        _, state = tx.update(params, state, params, value=1.0)
        counts.append(problems.compiled() - before)
    assert counts[1:] == [0, 0, 0]


def test_flags_and_functions_stay_python() -> None:
    """What is no number reaches the function as it is, and another one counts anew."""
    seen = []

    @compiled
    def f(x: Any, *, flag: bool, g: Callable[[Any], Any], name: str) -> Any:
        seen.append((flag, name))
        return g(x) if flag else x

    assert f(2.0, flag=True, g=jnp.square, name="a") == 4
    assert f(3.0, flag=True, g=jnp.square, name="a") == 9
    assert f(3.0, flag=False, g=jnp.square, name="b") == 3
    assert seen == [(True, "a"), (False, "b")]


def test_what_cannot_be_hashed_is_run_as_it_is() -> None:
    """An unhashable argument does not fail; the function is then not compiled."""

    class Odd:
        __hash__ = None  # type: ignore[assignment]

    @compiled
    def f(x: Any, odd: Any) -> Any:
        assert isinstance(odd, Odd)
        return x + 1

    assert f(1, Odd()) == 2


def test_missing_gradients_pass_through() -> None:
    """What JAX gives for integers arrives as it came, with its shape."""

    @compiled
    def f(x: Any) -> Any:
        assert isinstance(x, np.ndarray)
        assert x.dtype == jax.dtypes.float0
        return jnp.zeros(x.shape)

    assert f(np.zeros((2, 3), jax.dtypes.float0)).shape == (2, 3)


def test_settings_may_be_traced_around_concrete_arguments() -> None:
    """A transformation made of traced numbers works on gradients that are not."""
    ones = jnp.ones(2)

    def first(rate: Any) -> Any:
        tx = accumulate(gradtx.sgd(rate), 1)
        return tx.update(ones, tx.init(ones), ones)[0]

    rates = jnp.float32([0.1, 0.2])
    np.testing.assert_allclose(
        jax.vmap(first)(rates), -rates[:, None] * ones[None], rtol=1e-6
    )
    assert jax.grad(lambda rate: first(rate).sum())(0.1) == -2


def test_an_update_that_is_not_jitted_is_one_program() -> None:
    """Outside of `jit` all leaves and links go through one call, compiled once."""
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1))
    params = {f"w{i}": jnp.ones(i + 1) for i in range(4)}
    state, before = tx.init(params), problems.compiled()
    for expected in (1, 0):
        updates, state = tx.update(params, state, params)
        assert problems.compiled() - before == expected
        before = problems.compiled()
    before = problems.compiled()
    gradtx.apply_updates(params, updates)
    assert problems.compiled() - before == 1


def test_what_others_wrote_is_not_traced() -> None:
    """Outside of `jit` a user's function, pair or factory may look at its numbers."""

    def schedule(count: Any) -> float:
        return 0.5 if count < 1 else 0.25

    def update(u: Any, state: Any, _: Any = None, **__: Any) -> Any:
        assert float(u[0])
        return u, state

    pair = gradtx.GradientTransformation(lambda _: (), update)

    @gradtx.transformation
    def theirs() -> Any:
        return pair

    grads = jnp.ones(2)
    for tx in (
        gradtx.sgd(schedule),
        gradtx.chain(pair, gradtx.sgd(0.5)),
        gradtx.chain(theirs(), gradtx.sgd(0.5)),
        gradtx.masked(pair, mask=True),
    ):
        updates, _ = tx.update(grads, tx.init(grads), grads)
        assert jnp.abs(updates[0]) > 0


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adamw(0.1),
        gradtx.sgd(gradtx.linear_schedule(0.1, 0.0, 5), momentum=0.9),
        gradtx.chain(gradtx.clip(1.0), gradtx.lion(0.1)),
        gradtx.lookahead(gradtx.adam(0.1), 2, 0.5),
        accumulate(gradtx.adam(0.1), 2),
    ],
    ids=repr,
)
def test_leaves_on_different_devices_are_updated_where_they_lie(tx: Any) -> None:
    """Outside of `jit` the layers of a model may be on one device each."""
    devices = jax.devices()[:2]
    whole = {"a": jnp.float32([1, -2, 3]), "b": jnp.float32([4, 5])}
    ends = []
    for places in (devices, devices[:1] * 2):
        params = {
            name: jax.device_put(np.array(x), place)
            for (name, x), place in zip(whole.items(), places, strict=True)
        }
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(params, state, params)
            params = gradtx.apply_updates(params, updates)
        assert [x.devices() for x in params.values()] == [{d} for d in places]
        ends.append(params)
    problems.assert_close(*ends, rtol=1e-6)
