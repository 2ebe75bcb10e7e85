"""Weights that a state keeps: of half-precision parameters they lose no small step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import contrib

AROUND = {
    "plain": lambda tx: tx,
    "master": gradtx.with_master_weights,
    "compensation": gradtx.with_compensation,
    "stochastic": gradtx.with_stochastic_rounding,
}
RATE = 1e-4

# What keeps weights in its state, with steps that are small beside the last bit.
KEEPERS = {
    "lookahead": lambda: gradtx.lookahead(gradtx.sgd(RATE), 10, 0.5),
    "lookahead, reset": lambda: gradtx.lookahead(
        gradtx.sgd(RATE, momentum=0.5), 10, 0.5, reset_state=True
    ),
    "schedule_free": lambda: gradtx.schedule_free(gradtx.sgd(RATE), RATE),
    "sam": lambda: contrib.sam(gradtx.sgd(2 * RATE), gradtx.sgd(0.1)),
    "mechanize": lambda: contrib.mechanize(gradtx.sgd(1.0), 0.0),
    "madgrad": lambda: contrib.madgrad(RATE),
    "keras average": lambda: gradtx.like.keras.SGD(RATE, use_ema=True),
    "lookahead of lookahead": lambda: gradtx.lookahead(
        gradtx.lookahead(gradtx.sgd(RATE), 5, 0.5), 10, 0.5
    ),
}


STEPS = {"mechanize": 33}  # it grows its steps from a millionth to a hundredth


def trained(tx: Any, dtype: str, steps: int) -> tuple[Any, Any]:
    """Return the parameters after some steps towards 0, and the averages."""
    start = jnp.ones(64, dtype)

    @jax.jit
    def train() -> Any:
        def body(carry: Any, _: None) -> Any:
            p, state = carry
            u, state = tx.update(jnp.sign(p), state, p)
            return (gradtx.apply_updates(p, u), state), None

        return jax.lax.scan(body, (start, tx.init(start)), length=steps)[0]

    p, state = train()
    return p, gradtx.eval_params(state, p)


@pytest.mark.parametrize("around", ["master", "compensation", "stochastic"])
@pytest.mark.parametrize("name", KEEPERS)
@pytest.mark.one_in(12)
def test_small_steps_are_not_lost(name: str, around: str) -> None:
    """In bfloat16 a thousand steps end where float32 ends, averages too.

    Without care they end where they began: each is a 40th of the last bit.
    """
    steps, bit = STEPS.get(name, 1000), 2.0**-8
    if (name, around) == ("mechanize", "stochastic"):
        pytest.skip("its steps are made of how far the parameters are, noise and all")
    expected = trained(KEEPERS[name](), "float32", steps)
    got = trained(AROUND[around](KEEPERS[name]()), "bfloat16", steps)
    few = {"stochastic": 6 * bit}.get(around, bit)
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == jnp.bfloat16
        assert abs(float(one.astype("float32").mean() - other.mean())) < few
    assert abs(float(expected[0].mean()) - 1) > 6 * bit


@pytest.mark.parametrize("name", KEEPERS)
@pytest.mark.one_in(2)
def test_they_are_kept_in_float32(name: str) -> None:
    """Of bfloat16 parameters too, from the first step on, in plain use as well."""
    params = {"w": jnp.linspace(1, 2, 8).astype("bfloat16")}
    tx = KEEPERS[name]()
    state = tx.init(params)
    kinds = problems.shapes(state)
    _, state = tx.update(params, state, params)
    assert problems.shapes(state) == kinds
    kept = [x for x in jax.tree.leaves(state) if x.shape == (8,)]
    assert any(x.dtype == jnp.float32 for x in kept)
    found = gradtx.eval_params(state, params)
    assert found["w"].dtype == jnp.bfloat16


STARTS = {
    "dog": contrib.dog,
    "dowg": contrib.dowg,
    "cocob": contrib.cocob,
    "prodigy": contrib.prodigy,
    "madgrad": lambda: contrib.madgrad(0.1),
    "mechanize": lambda: contrib.mechanize(gradtx.sgd(1.0)),
    "distance": gradtx.scale_by_distance_over_gradients,
    "lbfgs": lambda: gradtx.lbfgs(0.1, linesearch=None),
}


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.one_in(6)
def test_where_it_began_is_kept_exactly(name: str) -> None:
    """Started anew from float32 weights, a state made for bfloat16 keeps their bits."""
    weights = jnp.linspace(1, 2, 8)
    tx = gradtx.lookahead(STARTS[name](), 1, 0.5, reset_state=True)
    tx = gradtx.with_compensation(tx)
    p = weights.astype("bfloat16")
    state = tx.init(p)
    kinds = problems.shapes(state)
    for t in range(2):
        u, state = tx.update(problems.noise(p, t), state, p)
        p = gradtx.apply_updates(p, u)
    assert problems.shapes(state) == kinds
    if name not in ("mechanize", "lbfgs"):  # they begin at the next step
        kept = jax.tree.leaves(state.inner_state.fast_state)
        slow = state.inner_state.slow_params
        assert any(x.shape == (8,) and np.array_equal(x, slow) for x in kept)
