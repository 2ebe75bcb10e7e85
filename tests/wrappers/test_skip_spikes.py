"""Steps left out for their loss or their gradient, and what the state tells of them."""

from typing import Any

import frontier_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

OLMO = {}
LEVANTER = {"window": 9, "min_steps": 4, "two_sided": False, "ddof": 0, "min_std": 1e-6}


def run(tx: Any, losses: Any, norms: Any) -> tuple[Any, list[bool]]:
    """Return the last state, and for every step whether the parameter moved."""
    params = {"x": jnp.zeros(())}
    state, step, moves = tx.init(params), jax.jit(tx.update), []
    for loss, norm in zip(losses, norms, strict=True):
        u, state = step({"x": jnp.float32(norm)}, state, params, value=loss)
        moves.append(bool(u["x"] != 0))
    return state, moves


def test_the_recorded_series() -> None:
    """OLMo's factor of every step of its recorded series."""
    (case,) = [
        case
        for case in frontier_cases.recorded()["cases"]
        if case["method"] == "skip_step"
    ]
    found = frontier_cases.follow(case, None, None)
    assert found["factors"] == case["factors"]


def test_levanter_s_convention() -> None:
    """Only what lies above, by the plain deviation, from four steps on."""
    rng = np.random.default_rng(0)
    losses, norms = rng.normal(2, 0.1, 40), rng.normal(1, 0.1, 40)
    losses[20], losses[25], norms[30] = 9, -9, 5
    kept: list[tuple[float, float]] = []
    expected = []
    for pair in zip(losses, norms, strict=True):
        last = np.array(kept[-9:])
        skip = len(kept) >= 4 and any(
            x > last[:, i].mean() + 2 * max(last[:, i].std(), 1e-6)
            for i, x in enumerate(pair)
        )
        expected.append(not skip)
        kept.append(pair)
    tx = gradtx.skip_spikes(gradtx.sgd(1.0), sigma=2.0, **LEVANTER)
    assert run(tx, losses, norms)[1] == expected
    assert not expected[20]
    assert expected[25]
    assert not expected[30]


def test_a_spike_leaves_everything_as_it_is() -> None:
    """Updates of zero, the inner state of before, and a record of the step."""
    tx = gradtx.skip_spikes(gradtx.adam(0.1), window=4, min_steps=3)
    params = {"x": jnp.ones(3)}
    state = tx.init(params)
    for t in range(4):
        grads = {"x": jnp.full(3, 1 + 0.1 * t)}
        _, state = tx.update(grads, state, params, value=2 + 0.1 * t)
    u, after = tx.update({"x": jnp.full(3, 100.0)}, state, params, value=2.1)
    assert (u["x"] == 0).all()
    assert jax.tree.all(
        jax.tree.map(lambda x, y: (x == y).all(), after.inner_state, state.inner_state)
    )
    within = (gradtx.EmptyState(), after)
    assert gradtx.tree.get(within, "skipped") == 1
    assert gradtx.tree.get(within, "last_skipped") == 5
    np.testing.assert_allclose(sorted(after.values), [2.1, 2.1, 2.2, 2.3], rtol=1e-6)
    assert (after.count, after.seen) == (5, 5)
    # It counts among the next steps' last: the second of two is no spike any more.
    _, last = tx.update({"x": jnp.full(3, 100.0)}, after, params, value=2.1)
    assert last.skipped == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.one_in(2)
def test_what_is_not_finite_is_skipped_and_forgotten(wrong: float) -> None:
    """From the first step on, and without a trace in the means."""
    tx = gradtx.skip_spikes(gradtx.sgd(1.0), window=4)
    state, moves = run(tx, [1, wrong, 1, 1], [1, 1, wrong, 1])
    assert moves == [True, False, False, True]
    assert (state.seen, state.skipped, state.last_skipped) == (2, 2, 3)
    assert jnp.isfinite(state.values).all()
    assert jnp.isfinite(state.norms).all()


def test_the_loss_is_asked_for() -> None:
    """Without `value` it says how to call; and the inner method is given it too."""
    tx = gradtx.skip_spikes(gradtx.polyak_sgd())
    state, g = tx.init(jnp.ones(2)), jnp.ones(2)
    with pytest.raises(ValueError, match=r"skip_spikes: .*value=\.\.\."):
        tx.update(g, state, g)
    assert (tx.update(g, state, g, value=1.0)[0] < 0).all()


def test_wrong_windows_are_refused() -> None:
    """A deviation needs two values at least, and a divisor of a known kind."""
    for settings in ({"window": 1}, {"min_steps": 1}, {"ddof": 2}):
        with pytest.raises(ValueError, match=f"skip_spikes: {next(iter(settings))}"):
            gradtx.skip_spikes(gradtx.sgd(0.1), **settings)
