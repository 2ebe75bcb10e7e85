"""StableAdamW: AdamW without spikes, and a decay that is shortened with the step."""

import jax.numpy as jnp
import numpy as np
import problems

import gradtx


def test_without_a_spike_it_is_adamw() -> None:
    """Gradients that do not grow are followed as by AdamW."""
    params = problems.small_tree()
    pair = (
        gradtx.stable_adamw(0.1, eps=1e-8),
        gradtx.adamw(0.1, b2=0.99, weight_decay=1e-2),
    )
    states = [tx.init(params) for tx in pair]
    for t in range(3):
        grads = {k: 0.9**t * g for k, g in problems.noise(params, 0).items()}
        steps = [
            tx.update(grads, s, params) for tx, s in zip(pair, states, strict=True)
        ]
        problems.assert_close(steps[0][0], steps[1][0])
        states = [state for _, state in steps]


def test_a_spike_shortens_step_and_decay() -> None:
    """Both by one factor for each array, and only where the mask says do arrays decay.

    The decay's share is what two runs differ by, of which one does not decay.
    """
    params = {"a": jnp.full(4, 2.0), "b": jnp.full(4, 2.0), "n": None}
    mask = {"a": True, "b": False, "n": False}
    runs = []
    for decay in (None, 0.5):
        tx = gradtx.scale_by_stable_adamw(weight_decay=decay, mask=mask)
        state = tx.init(params)
        for size in (1.0, 10.0):
            grads = {"a": jnp.full(4, size), "b": jnp.full(4, size), "n": None}
            u, state = tx.update(grads, state, params)
        runs.append(u)
    # Of squares 1 and 100 the mean is 50.25: the spike is √(100 / 50.25) too large.
    factor = np.sqrt((0.99 + 100) / 1.99 / 100)
    np.testing.assert_allclose(runs[1]["a"] - runs[0]["a"], 0.5 * 2 * factor, rtol=1e-4)
    np.testing.assert_array_equal(runs[1]["b"], runs[0]["b"])
