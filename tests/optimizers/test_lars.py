"""What is peculiar to LARS."""

import beside_optax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from methods import layerwise as papers

import gradtx


def test_the_norm_of_the_sum_is_optax() -> None:
    """With ``norm_of_sum`` every argument does what it does in optax."""
    settings = {
        "learning_rate": beside_optax.falling,
        "weight_decay": 0.1,
        "weight_decay_mask": beside_optax.matrices,
        "trust_coefficient": 0.01,
        "eps": 0.1,
        "trust_ratio_mask": {"b": False, "c": True, "w": True},
        "momentum": 0.8,
        "nesterov": True,
    }
    ours = gradtx.lars(**settings, norm_of_sum=True)
    beside_optax.assert_same(ours, optax.lars(**settings))
    plain = gradtx.lars(0.5)
    beside_optax.assert_same(plain, optax.lars(0.5))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("decays", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_the_masks_are_of_leaves(decays: bool, scaled: bool) -> None:
    """A leaf decays, and is rescaled, where the two masks say so."""
    params = {"w": jnp.array([3.0, 4.0]), "other": jnp.ones(2)}
    grads = {"w": jnp.array([0.0, 2.0]), "other": jnp.ones(2)}
    tx = gradtx.lars(
        1.0,
        weight_decay=lambda count: 0.2 / (1 + count),
        weight_decay_mask={"w": decays, "other": not decays},
        trust_coefficient=0.1,
        trust_ratio_mask=lambda _: {"w": scaled, "other": not scaled},
        momentum=0.0,
    )
    state = tx.init(params)
    for t in range(2):
        u, state = tx.update(grads, state, params)
        decay = 0.2 / (1 + t) if decays else 0.0
        local = 0.1 * 5 / (2 + decay * 5) if scaled else 1.0
        expected = -local * (np.array([0.0, 2.0]) + decay * np.array([3.0, 4.0]))
        np.testing.assert_allclose(u["w"], expected, rtol=1e-12)


def test_inside_of_a_mask() -> None:
    """A leaf that is masked out of LARS is left alone."""
    params = {"w": jnp.float32([3, 4]), "out": jnp.ones(2)}
    tx = gradtx.masked(gradtx.lars(1.0, 0.1), {"w": True, "out": False})
    u, _ = tx.update(params, tx.init(params), params)
    path = papers.lars(np.array([3.0, 4.0]), [np.array([3.0, 4.0])], **_settings())
    np.testing.assert_allclose(u["w"], path[0] - [3, 4], rtol=1e-5)
    np.testing.assert_array_equal(u["out"], params["out"])


def _settings() -> dict[str, float]:
    return {"learning_rate": 1.0, "weight_decay": 0.1}


def test_zero_leaves_are_not_rescaled() -> None:
    """Where the parameter or the gradient is 0 the step is the plain one."""
    tx = gradtx.lars(0.5, momentum=0.0)
    zero, one = jnp.zeros(2), jnp.ones(2)
    for p, g, expected in ((zero, one, -0.5), (one, zero, 0.0)):
        np.testing.assert_array_equal(tx.update(g, tx.init(p), p)[0], expected)
