"""The scale of a loss: found, kept in the state, and undone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

INF = jnp.float16(jnp.inf)


def test_a_bad_step_is_left_out() -> None:
    """Updates of zero, the inner state of before, half the scale, and a record."""
    tx = gradtx.chain(gradtx.identity(), gradtx.dynamic_loss_scale(gradtx.adam(0.1)))
    p = jnp.ones(2, jnp.float16)
    _, state = tx.update(p, tx.init(p), p)
    u, after = tx.update(p.at[0].set(INF), state, p)
    assert (u == 0).all()
    assert u.dtype == jnp.float16
    before, now = state[1], after[1]
    assert jax.tree.all(
        jax.tree.map(lambda x, y: (x == y).all(), before.inner_state, now.inner_state)
    )
    get = gradtx.tree.get
    assert get(after, "loss_scale") == get(state, "loss_scale") / 2 == 2.0**14
    assert (get(after, "skipped"), bool(get(after, "last_finite"))) == (1, False)


def test_gradients_are_divided_in_float32() -> None:
    """Gradients that float16 cannot hold move float16 parameters as they should."""
    p, g = jnp.ones(2, jnp.float16), jnp.full(2, 2.0**-12, jnp.float16)
    small = g.astype(jnp.float32) / 2.0**15
    assert (small.astype(jnp.float16) == 0).all()
    tx = gradtx.dynamic_loss_scale(gradtx.adam(0.5, eps=0.0))
    u, state = tx.update(g, tx.init(p), p)
    np.testing.assert_allclose(u, -0.5)
    np.testing.assert_allclose(
        gradtx.tree.get(state, "nu"), 0.001 * small**2, rtol=1e-5
    )


def test_it_stays_within_its_bounds() -> None:
    """The scale grows no more than `max_scale`, and falls to `min_scale` at least."""
    tx = gradtx.dynamic_loss_scale(
        gradtx.sgd(0.1), 4.0, 1, 3.0, 0.25, min_scale=2.0, max_scale=10.0
    )
    p = jnp.ones(1)
    state = tx.init(p)
    found = []
    for g in (1.0, 1.0, jnp.inf, jnp.inf):
        _, state = tx.update(jnp.full(1, g), state, p)
        found.append(float(state.loss_scale))
    assert found == [10.0, 10.0, 2.5, 2.0]


def test_a_training_step_in_float16() -> None:
    """A loss whose gradient overflows at first is found a scale, under jit, and falls.

    The inner optimizer is one of optax, which is given the types that it expects.
    """
    tx = gradtx.dynamic_loss_scale(optax.sgd(0.1), 2.0**15)

    @jax.jit
    def step(p: jax.Array, state: gradtx.DynamicLossScaleState) -> tuple:
        scale = gradtx.tree.get(state, "loss_scale").astype(jnp.float16)
        grads = jax.grad(lambda p: scale * 2 * (p * p).sum())(p)
        u, state = tx.update(grads, state, p)
        return gradtx.apply_updates(p, u), state

    p = jnp.ones(3, jnp.float16)
    state = tx.init(p)
    for _ in range(8):
        p, state = step(p, state)
    assert state.skipped == 2
    assert p.dtype == jnp.float16
    np.testing.assert_allclose(p, 0.6**6, rtol=1e-2)


@pytest.mark.parametrize(
    "settings",
    [{"initial_scale": 0.0}, {"growth_factor": 0.5}, {"backoff_factor": 1.5}],
)
def test_wrong_settings_are_refused(settings: dict) -> None:
    """A scale is above 0, grows by 1 at least, and falls by 1 at most."""
    with pytest.raises(ValueError, match=f"dynamic_loss_scale: {next(iter(settings))}"):
        gradtx.dynamic_loss_scale(gradtx.sgd(0.1), **settings)
