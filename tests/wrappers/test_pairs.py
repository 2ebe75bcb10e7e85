"""Any wrapper around any wrapper: types stay, and half precision follows float32."""

import itertools
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import contrib

Wrap = Callable[[Any], Any]
MASK = {"w": True, "b": False}

WRAPPERS: dict[str, Wrap] = {
    "accumulate": lambda tx: gradtx.accumulate(tx, 2),
    "apply_if_finite": lambda tx: gradtx.apply_if_finite(tx, 2),
    "chain": lambda tx: gradtx.chain(gradtx.clip_by_global_norm(10.0), tx),
    "compensation": gradtx.with_compensation,
    "conditionally_mask": lambda tx: gradtx.conditionally_mask(tx, lambda t: t != 1),
    "flatten": gradtx.flatten,
    "inject": lambda tx: gradtx.inject_hyperparams(lambda unused: tx)(0.0),  # noqa: ARG005
    "lookahead": lambda tx: gradtx.lookahead(tx, 2, 0.5),
    "lookahead, reset": lambda tx: gradtx.lookahead(tx, 2, 0.5, reset_state=True),
    "masked": lambda tx: gradtx.masked(tx, mask=True),
    "master": gradtx.with_master_weights,
    "mechanize": lambda tx: contrib.mechanize(tx, s_init=0.1),
    "pack": lambda tx: gradtx.pack_small_leaves(tx, 10),
    "partition": lambda tx: gradtx.partition({"all": tx}, "all"),
    "quantize": lambda tx: gradtx.quantize_state(tx, min_size=0),
    "sam": lambda tx: contrib.sam(tx, gradtx.sgd(0.05)),
    "schedule_free": lambda tx: gradtx.schedule_free(tx, 0.1),
    "split": contrib.split_real_and_imaginary,
    "stochastic": gradtx.with_stochastic_rounding,
}
METHODS = {
    "adam": lambda: gradtx.adam(0.1),
    "momentum": lambda: gradtx.sgd(0.1, momentum=0.5),
}
PAIRS = list(itertools.product(WRAPPERS, WRAPPERS, METHODS))
# Their steps are made of how far rounded parameters are apart, or of random bits.
CHAOTIC = {"mechanize", "stochastic", "quantize"}


def chosen(request: pytest.FixtureRequest, count: int) -> list[tuple[str, ...]]:
    """Return some pairs, the same in every run, twenty times as many if asked."""
    if request.config.getoption("--exhaustive", default=False):
        count *= 20
    return random.Random(0).sample(PAIRS, count)  # noqa: S311


def tree(dtype: str) -> Any:
    """Return two small leaves, which are put together where that is asked for."""
    params = {"b": jnp.float32([1, -2]), "w": jnp.float32([[1, 2], [3, 0.5]])}
    return jax.tree.map(lambda p: p.astype(dtype), params)


def made(outer: str, inner: str, method: str) -> Any:
    """Return one wrapper around another around a method."""
    return WRAPPERS[outer](WRAPPERS[inner](METHODS[method]()))


def step(tx: Any, grads: Any, state: Any, params: Any) -> Any:
    """Take one step: return the updates, the state, and the parameters."""
    updates, state = tx.update(grads, state, params)
    return updates, state, gradtx.apply_updates(params, updates)


def test_pairs_that_did_not_fit() -> None:
    """Wrappers that keep a state by type, within those that show other types.

    The first update raised: packed leaves, and fast states that start anew.
    """
    widening = ("compensation", "stochastic", "master", "sam")
    keeping = ("compensation", "master", "pack", "quantize")
    pairs = [
        *((outer, "pack", "adam") for outer in widening),
        *(("lookahead, reset", inner, "adam") for inner in keeping),
    ]
    for pair in pairs:
        _keeps_types(pair, made(*pair))
    deep = made("lookahead, reset", "quantize", "adam")
    _keeps_types(("compensation around",), gradtx.with_compensation(deep))


def test_averages_are_found_where_parameters_are_one_vector() -> None:
    """Also within master weights of that vector."""
    tx, params = made("flatten", "master", "adam"), tree("bfloat16")
    found = gradtx.eval_params(tx.init(params), params)
    assert problems.shapes(found) == problems.shapes(params)


def test_types_stay(request: pytest.FixtureRequest) -> None:
    """Updates and parameters keep their types, the state its types and structure.

    Of bfloat16 and of float32 weights, in many pairs. Nothing is compiled.
    """
    for pair in chosen(request, 20):
        _keeps_types(pair, made(*pair))


def _keeps_types(pair: tuple[str, ...], tx: Any) -> None:
    for dtype in ("bfloat16", "float32"):
        params = tree(dtype)
        state = jax.eval_shape(tx.init, params)
        updates, new, moved = jax.eval_shape(partial(step, tx), params, state, params)
        assert problems.shapes(new) == problems.shapes(state), (pair, dtype)
        for x in (updates, moved):
            assert problems.shapes(x) == problems.shapes(params), (pair, dtype)


def trained(tx: Any, dtype: str) -> Any:
    """Return the parameters and the averages after four steps."""
    params = tree(dtype)
    state = tx.init(params)

    @jax.jit
    def train(params: Any, state: Any) -> Any:
        for t in range(4):
            grads = problems.noise(params, t)
            _, state, params = step(tx, grads, state, params)
        return params, gradtx.eval_params(state, params)

    return train(params, state)


def test_half_precision_follows_float32(request: pytest.FixtureRequest) -> None:
    """The steps in bfloat16 end where those in float32 end, to a few roundings."""
    pairs = [x for x in chosen(request, 4) if not CHAOTIC & set(x)]
    for pair in pairs:
        got, expected = (trained(made(*pair), k) for k in ("bfloat16", "float32"))
        for one, other in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
            assert one.dtype == jnp.bfloat16
            np.testing.assert_allclose(
                np.float32(one), other, rtol=0.03, atol=0.03, err_msg=str(pair)
            )


MOVING: dict[str, Wrap] = {
    "lookahead": WRAPPERS["lookahead"],
    "outer_nesterov": lambda tx: gradtx.outer_nesterov(tx, 5, outer_momentum=0.5),
    "ema_nesterov": gradtx.ema_nesterov,
    "schedule_free": WRAPPERS["schedule_free"],
}


@pytest.mark.parametrize("inner", ["master", "compensation"])
@pytest.mark.parametrize("outer", MOVING)
@pytest.mark.one_in(2)
def test_what_keeps_weights_exact_goes_around_what_moves_them(
    outer: str, inner: str
) -> None:
    """Small steps of bfloat16 add up to those of float32, in whichever order."""
    wrap, exact = MOVING[outer], WRAPPERS[inner]
    plain = gradtx.sgd(1e-3)
    within, around = wrap(exact(plain)), exact(wrap(plain))

    def end(tx: Any, dtype: str) -> Any:
        params = jnp.asarray([1.0, -2.0, 0.5], dtype)
        body = lambda _, now: step(tx, params, now[1], now[0])[:0:-1]  # noqa: E731
        return jax.lax.fori_loop(0, 200, body, (params, tx.init(params)))[0]

    near, same = (
        jax.jit(end, static_argnums=(0, 1))(x, "bfloat16") for x in (within, around)
    )
    np.testing.assert_array_equal(near, same)
    expected = jax.jit(end, static_argnums=(0, 1))(wrap(plain), "float32")
    np.testing.assert_allclose(np.float32(near), expected, rtol=2**-8)
    assert repr(within).startswith(outer)
    with pytest.raises(ValueError, match=rf"{outer}.*: with_\w+ must be outermost"):
        wrap(gradtx.chain(gradtx.identity(), exact(plain)))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("masked", "apply_if_finite"),
        ("split", "lookahead"),
        ("master", "compensation"),
        ("compensation", "master"),
        ("masked", "stochastic"),
    ],
)
@pytest.mark.parametrize("jit", [False, True])
def test_the_state_of_another_wrapper_is_refused(
    name: str, other: str, *, jit: bool
) -> None:
    """Also where it holds an inner state under the same name."""
    params, tx = tree("float32"), WRAPPERS[name](METHODS["adam"]())
    state = WRAPPERS[other](METHODS["adam"]()).init(params)
    update = partial(jax.eval_shape, tx.update) if jit else tx.update
    with pytest.raises(ValueError, match=r"the state is \w+State, but this"):
        update(params, state, params)
