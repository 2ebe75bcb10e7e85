"""Running sums and means."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

GRADS = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25], [2.0, 2.0]])


def outputs(tx: Any, grads: Any) -> tuple[Any, Any]:
    """Return all the updates, and the last state."""
    state, path = tx.init(jnp.asarray(grads[0])), []
    for g in grads:
        update, state = tx.update(jnp.asarray(g), state)
        path.append(update)
    return jnp.stack(path), state


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("nesterov", [False, True])
def test_trace_is_a_decaying_sum(*, nesterov: bool) -> None:
    """After t steps the sum is Σ μ^(t-i) gᵢ; Nesterov's is that of one step more."""
    mu, (got, state) = 0.7, outputs(gradtx.trace(0.7, nesterov), GRADS)
    for t in range(1, 5):
        total = sum(mu ** (t - 1 - i) * GRADS[i] for i in range(t))
        expected = GRADS[t - 1] + mu * total if nesterov else total
        np.testing.assert_allclose(got[t - 1], expected, rtol=1e-14)
    np.testing.assert_allclose(state.trace, total, rtol=1e-14)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("debias", [False, True])
def test_ema_is_a_weighted_mean(*, debias: bool) -> None:
    """After t steps the weights are (1-β) β^(t-i); debiased, they sum to 1."""
    beta, (got, state) = 0.7, outputs(gradtx.ema(0.7, debias), GRADS)
    for t in range(1, 5):
        weights = (1 - beta) * beta ** np.arange(t - 1, -1, -1)
        mean = weights @ GRADS[:t]
        expected = mean / weights.sum() if debias else mean
        np.testing.assert_allclose(got[t - 1], expected, rtol=1e-13)
    np.testing.assert_allclose(state.ema, mean, rtol=1e-13)
    assert state.count == 4


@pytest.mark.parametrize("make", [gradtx.trace, gradtx.ema])
def test_accumulators_have_their_type(make: Any) -> None:
    """The sum is kept in the type asked for; the update leaves in the gradient's."""
    tx = make(0.9, accumulator_dtype=jnp.float32)
    got, state = outputs(tx, jnp.asarray(GRADS, jnp.bfloat16))
    assert got.dtype == jnp.bfloat16
    assert jax.tree.leaves(state)[-1].dtype == jnp.float32
    got, state = outputs(make(0.9), jnp.asarray(GRADS, jnp.bfloat16))
    assert got.dtype == jax.tree.leaves(state)[-1].dtype == jnp.bfloat16


def test_decays_have_their_range() -> None:
    """A sum may keep everything, a mean may not; neither may grow or change sign."""
    got, _ = outputs(gradtx.trace(1.0), GRADS)
    np.testing.assert_allclose(got[-1], GRADS.sum(0), rtol=1e-6)
    for make, wrong in ((gradtx.trace, 1.5), (gradtx.trace, -0.1), (gradtx.ema, 1.0)):
        with pytest.raises(ValueError, match=f"{make.__name__}: decay must be in"):
            make(wrong)
