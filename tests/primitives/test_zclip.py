"""ZClip: what it calls a spike, what it remembers, and what it lets through."""

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

CALM = [1.0, 1.2, 0.8, 1.0, 1.2, 0.8]


def run(tx: gradtx.GradientTransformation, norms: list[float]) -> tuple:
    """Return the last update's norm and the state."""
    state, u = tx.init(jnp.zeros(2)), jnp.zeros(2)
    for n in norms:
        u, state = tx.update(n * jnp.float32([0.6, 0.8]), state)
    return float(jnp.linalg.norm(u)), state


def test_spikes_are_cut_and_counted() -> None:
    """A norm of ten is cut to a little above the mean, and the state tells of it."""
    tx = gradtx.zclip(max_grad_norm=None, warmup_steps=6)
    size, state = run(tx, [*CALM, 10.0])
    z = (10 - 1) / (np.std(CALM) + 1e-6)
    np.testing.assert_allclose(size, 1 + 2.5**2 * np.std(CALM) / z, rtol=1e-5)
    assert (state.count, state.clipped) == (7, 1)
    size, state = run(tx, [*CALM, 1.3])
    np.testing.assert_allclose(size, 1.3, rtol=1e-6)
    assert state.clipped == 0


def test_a_spike_may_be_forgotten() -> None:
    """With `skip_update_on_spike` the mean and the deviation stay."""
    skip = gradtx.zclip(max_grad_norm=None, warmup_steps=6, skip_update_on_spike=True)
    _, calm = run(skip, CALM)
    _, after = run(skip, [*CALM, 10.0])
    assert (after.mean, after.std) == (calm.mean, calm.std)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_not_remembered(wrong: float) -> None:
    """It goes through, for others to see, and the mean and the deviation stay."""
    tx = gradtx.zclip(warmup_steps=3)
    _, before = run(tx, CALM)
    size, after = run(tx, [*CALM, wrong])
    assert not np.isfinite(size)
    assert after == before
    _, early = run(tx, [wrong, *CALM])
    np.testing.assert_allclose(early.mean, before.mean)


def test_wrong_modes_are_refused() -> None:
    """Modes and options are named."""
    with pytest.raises(ValueError, match=r"zclip: mode .*'both'"):
        gradtx.zclip(mode="both")
    with pytest.raises(ValueError, match=r"zclip: clip_option .*'median'"):
        gradtx.zclip(clip_option="median")
