"""``descend`` makes an optimizer of any direction."""

import jax.numpy as jnp
import numpy as np

import gradtx


def test_a_direction_goes_downhill_with_decay_where_asked() -> None:
    """The update is -η (u + λ p), with λ only where the mask says so."""
    params = {"w": jnp.float32([1, -2]), "b": jnp.float32([3])}
    grads = {"w": jnp.float32([0.5, 0.5]), "b": jnp.float32([-1])}
    tx = gradtx.descend(
        gradtx.scale(3.0),
        gradtx.linear_schedule(0.1, 0.0, 2),
        weight_decay=0.01,
        mask={"w": True, "b": False},
    )
    state = tx.init(params)
    for rate in (0.1, 0.05):
        u, state = tx.update(grads, state, params)
        w = -rate * (3 * np.array([0.5, 0.5]) + 0.01 * np.array([1, -2]))
        np.testing.assert_allclose(u["w"], w, rtol=1e-6)
        np.testing.assert_allclose(u["b"], [rate * 3], rtol=1e-6)
