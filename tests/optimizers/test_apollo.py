"""APOLLO: what its factors are, and how its random projections come and go."""

import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx


def test_whole_projections_are_adam_by_channel() -> None:
    """With P = 1 every channel of the gradient is as long as Adam's direction."""
    params = {"w": jnp.ones((3, 5))}
    tx = gradtx.scale_by_apollo(3, eps=0.0, norm_growth_limit=None)
    adam = gradtx.scale_by_adam(eps=0.0)
    states = tx.init(params), adam.init(params)
    for t in range(2):
        grads = problems.noise(params, t)
        u, mine = tx.update(grads, states[0], params, projections={"w": jnp.eye(3)})
        d, other = adam.update(grads, states[1], params)
        lengths = [jnp.linalg.norm(x["w"], axis=0) for x in (u, d)]
        np.testing.assert_allclose(*lengths, rtol=1e-5)
        assert (u["w"] * grads["w"] > 0).all()
        states = mine, other


def test_updates_grow_slowly() -> None:
    """No update is more than γ longer than the last, unless that was zero."""
    params = {"w": jnp.ones((3, 5))}
    tx = gradtx.scale_by_apollo(2, b1=0.0, b2=0.0, eps=10.0, norm_growth_limit=1.5)
    state, sizes = tx.init(params), []
    for factor in (0.0, 1.0, 100.0, 1.0):
        grads = {"w": factor * problems.noise(params, 0)["w"]}
        u, state = tx.update(grads, state, params)
        sizes.append(float(jnp.linalg.norm(u["w"])))
    assert sizes[0] == 0
    assert sizes[1] > 0
    np.testing.assert_allclose(sizes[2] / sizes[1], 1.5, rtol=1e-5)
    np.testing.assert_allclose(sizes[3], sizes[1], rtol=1e-5)


def test_projections_are_kept_for_a_while() -> None:
    """They are the same for as many steps as one says, and then others."""
    params = {"w": jnp.ones((4, 6))}
    tx = gradtx.scale_by_apollo(2, 2, b1=0.0, b2=0.0)
    state, seen = tx.init(params), []
    for _ in range(4):
        _, state = tx.update(params, state, params)
        seen.append(np.asarray(state.mu["w"]))
    assert seen[0].shape == (2, 6)
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[2], seen[3])
    assert (seen[0] != seen[2]).all()


def test_wrong_settings() -> None:
    """A scale type that is not known, and another matrix's state, are refused."""
    with pytest.raises(ValueError, match=r"scale_type must be one of channel, tensor"):
        gradtx.apollo(0.1, scale_type="row")
    tx = gradtx.apollo(0.1, 1)
    wide, tall = {"w": jnp.ones((2, 4))}, {"w": jnp.ones((4, 2))}
    with pytest.raises(ValueError, match=r"'mu' at \['w'\] has shape \(1, 4\)"):
        tx.update(tall, tx.init(wide), tall)
