"""What is written down about the updates is what they were."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems

import gradtx


def test_snapshots_and_means_are_those_of_the_updates() -> None:
    """Each measure is of the updates at its place, and means are unbiased means."""
    decay = 0.9
    tx = gradtx.chain(
        gradtx.scale(2.0),
        gradtx.monitor(
            {
                "norm": gradtx.tree.norm,
                "mean": gradtx.measure_with_ema(gradtx.tree.norm, decay),
                "many": gradtx.measure_with_ema(lambda u: jnp.sum(u > 3), decay),
            }
        ),
        gradtx.scale(-1.0),
        gradtx.snapshot("largest", jnp.max),
    )
    ones = jnp.ones(3)
    state, update = tx.init(ones), jax.jit(tx.update)
    means = np.zeros(2)
    for step in range(1, 4):
        updates, state = update(step * ones, state, ones)
        np.testing.assert_allclose(updates, -2 * step * ones)
        norm = 2 * step * np.sqrt(3)
        means = decay * means + (1 - decay) * np.array([norm, 3.0 * (step > 1)])
        found = state[1].measurements
        np.testing.assert_allclose(found["norm"], norm, rtol=1e-6)
        unbiased = means / (1 - decay**step)
        np.testing.assert_allclose([found["mean"], found["many"]], unbiased, rtol=1e-5)
        np.testing.assert_allclose(state[3].measurement["largest"], -2 * step)


def test_the_state_keeps_its_structure() -> None:
    """The first step of a scan, and the second of jit, find what init made."""
    tx = gradtx.chain(
        gradtx.monitor({"n": gradtx.tree.norm, "one": lambda _: 1}),
        gradtx.snapshot("kept", lambda u: jax.tree.map(jnp.mean, u)),
    )
    params = problems.small_tree()

    def body(state: Any, _: Any) -> Any:
        updates, state = tx.update(params, state, params)
        return state, updates

    state, _ = jax.lax.scan(body, tx.init(params), None, length=2)
    np.testing.assert_allclose(state[1].measurement["kept"]["b"], -0.5)


def test_updates_pass_unchanged() -> None:
    """Nothing that is measured changes what is passed on, and unknown extras pass."""
    tx = gradtx.monitor({"n": gradtx.tree.norm})
    params = problems.mixed_tree()
    updates, _ = tx.update(params, tx.init(params), params, unknown=1)
    problems.assert_close(updates, params, rtol=0)
