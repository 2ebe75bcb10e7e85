"""SPAM around any method: what is reset, what is cut, and by which moments."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import contrib


def states(tx: Any, grads: list[Any], params: Any) -> list[Any]:
    """Return the state after every step."""
    state, found = tx.init(params), []
    for g in grads:
        _, state = tx.update(g, state, params)
        found.append(state)
    return found


def test_moments_are_reset_and_counts_go_on() -> None:
    """At every third step both moments are those of one gradient; the count is not."""
    params, one = jnp.zeros(2), jnp.ones(2)
    tx = gradtx.spike_aware_reset(gradtx.adam(0.1), 3, 0, None)
    path = states(tx, [one] * 4, params)
    get = gradtx.tree.get
    for name, rate in (("mu", 0.1), ("nu", 0.001)):
        found = [float(get(state, name)[0]) for state in path]
        grown = [1 - (1 - rate) ** t for t in (1, 2, 1, 2)]
        np.testing.assert_allclose(found, grown, rtol=1e-5)
    assert [int(get(s, "ScaleByAdamState.count")) for s in path] == [1, 2, 3, 4]


def test_weights_in_the_state_are_not_reset() -> None:
    """Of Lookahead inside only the momentum is made anew."""
    inner = gradtx.trace(0.9)
    tx = gradtx.spike_aware_reset(
        gradtx.chain(inner, gradtx.scale_by_rms(), gradtx.scale(-0.1)),
        2,
        0,
        None,
        fields=["trace"],
    )
    path = states(tx, [jnp.ones(2)] * 2, jnp.ones(2))
    np.testing.assert_allclose(gradtx.tree.get(path[1], "trace"), 1.0)
    np.testing.assert_allclose(gradtx.tree.get(path[1], "nu"), 0.19, rtol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: tx,
        lambda tx: gradtx.masked(tx, {"a": True, "b": True}),
        lambda tx: gradtx.partition({"all": tx}, "all"),
        lambda tx: gradtx.quantize_state(tx, min_size=1),
    ],
    ids=["plain", "masked", "partition", "quantized"],
)
@pytest.mark.one_in(2)
def test_entries_are_cut_by_the_inner_moment(wrap: Any) -> None:
    """An entry far above its root mean square is cut, wherever that is kept."""
    params = {"a": jnp.zeros(300), "b": jnp.zeros(300)}
    tx = gradtx.spike_aware_reset(
        wrap(gradtx.adam(0.1, b1=0.0, b2=0.0)), None, 0, 4.0, wait=2
    )
    ones = jax.tree.map(jnp.ones_like, params)
    spike = jax.tree.map(lambda g: g.at[0].set(-100.0), ones)
    path = states(tx, [ones, spike], params)
    v = gradtx.tree.get(path[1], "nu")
    for leaf in ("a", "b"):
        np.testing.assert_allclose(v[leaf][0], 4.0, rtol=2e-2)
        np.testing.assert_allclose(v[leaf][1:], 1.0, rtol=2e-2)


def test_leaves_without_a_moment_are_not_cut() -> None:
    """Of Muon only the leaves that go to Adam have v; matrices go through."""
    params = {"w": jnp.eye(2), "b": jnp.ones(2)}
    tx = gradtx.spike_aware_reset(contrib.muon(0.1), None, 0, 1e-9, wait=1)
    updates, _ = tx.update(params, tx.init(params), params)
    assert (updates["b"] == 0).all()  # v is 0 yet
    assert (jnp.diag(updates["w"]) < 0).all()


def test_steps_recover_after_a_reset() -> None:
    """Updates begin again at a hundredth, and are whole after the warm-up."""
    tx = gradtx.spike_aware_reset(gradtx.sgd(1.0, momentum=0.0), 5, 3, None)
    p, state, found = jnp.zeros(()), tx.init(jnp.zeros(())), []
    for _ in range(9):
        u, state = tx.update(jnp.ones(()), state, p)
        found.append(-float(u))
    recovered = [1 - 0.99 * (1 + np.cos(np.pi * k / 4)) / 2 for k in range(3)]
    np.testing.assert_allclose(found, [1] * 4 + recovered + [1, 1], rtol=1e-5)


def test_what_is_not_there_is_said() -> None:
    """No moments to reset, or none to cut by: refused, with what to do."""
    params = problems.small_tree()
    with pytest.raises(ValueError, match=r"spike_aware_reset: .*nothing to reset"):
        gradtx.spike_aware_reset(gradtx.sgd(0.1)).init(params)
    with pytest.raises(ValueError, match=r"spike_aware_reset: .*threshold=None"):
        gradtx.spike_aware_reset(gradtx.lion(0.1)).init(params)


def test_around_schedule_free_it_acts_on_the_base() -> None:
    """The averaged weights stay those that Schedule-Free keeps."""
    one = gradtx.spike_aware_reset(contrib.schedule_free_adamw(0.1), 2, 1)
    state = one.init(problems.small_tree())
    assert isinstance(state, gradtx.ScheduleFreeState)
    assert isinstance(state.base_optimizer_state, gradtx.SpikeAwareResetState)
