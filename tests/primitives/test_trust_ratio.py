"""Updates measured against their parameter."""

import beside_optax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("scale_by_trust_ratio", {}),
        (
            "scale_by_trust_ratio",
            {"min_norm": 1.0, "trust_coefficient": 0.1, "eps": 0.5},
        ),
        ("scale_by_param_block_norm", {}),
        ("scale_by_param_block_norm", {"min_scale": 100.0}),
        ("scale_by_param_block_rms", {}),
        ("scale_by_param_block_rms", {"min_scale": 100.0}),
    ],
)
@pytest.mark.one_in(2)
def test_agrees_with_optax(name: str, settings: dict[str, float]) -> None:
    """Each factor is optax's, with the least size and without."""
    ours, theirs = (getattr(library, name)(**settings) for library in (gradtx, optax))
    beside_optax.assert_same(ours, theirs)


def test_at_zero() -> None:
    """Where either is 0 the trust ratio is 1; the blocks' factors stay at the least."""
    zero, one = jnp.zeros(3), jnp.ones(3)
    tx = gradtx.scale_by_trust_ratio(trust_coefficient=5.0)
    np.testing.assert_array_equal(tx.update(one, tx.init(zero), zero)[0], one)
    np.testing.assert_array_equal(tx.update(zero, tx.init(one), one)[0], zero)
    for part in (gradtx.scale_by_param_block_norm, gradtx.scale_by_param_block_rms):
        u, _ = part(0.5).update(one, gradtx.EmptyState(), zero)
        np.testing.assert_array_equal(u, 0.5)


def test_no_size_is_too_large_or_small() -> None:
    """A ratio that cannot be written down still gives the update that can."""
    tx = gradtx.scale_by_trust_ratio()
    for g, p in ((1e-30, 1e15), (1e30, 1e-15), (1e-30, 1e-30), (1e30, 1e30)):
        u, _ = tx.update(jnp.float32([g]), tx.init(None), jnp.float32([p]))
        np.testing.assert_allclose(u, [p], rtol=1e-5)


def test_the_parameters_are_needed() -> None:
    """Without them the error says how to call."""
    for part in (
        gradtx.scale_by_trust_ratio(),
        gradtx.scale_by_param_block_norm(),
        gradtx.scale_by_param_block_rms(),
    ):
        with pytest.raises(ValueError, match=r"update\(updates, state, params"):
            part.update(jnp.ones(2), gradtx.EmptyState())
