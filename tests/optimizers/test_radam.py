"""What is peculiar to RAdam."""

from fractions import Fraction

import beside_optax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.optimizers.radam import averaged_steps


@pytest.mark.parametrize("b2", [0.0, 0.5, 0.9, 0.999, 0.9999, 0.999999])
@pytest.mark.one_in(2)
def test_the_averaged_steps_in_exact_numbers(b2: float) -> None:
    """ρ is right in float32 for any β₂, where the plain formula has lost it."""
    t = np.array([1, 2, 5, 6, 10, 100, 3000, 10**6])
    exact = []
    for n in t.tolist():
        decay = Fraction(b2)
        power = decay**n if n <= 3000 else Fraction(b2**n)
        exact.append(float(2 / (1 - decay) - 1 - 2 * n * power / (1 - power)))
    got = averaged_steps(b2, jnp.int32(t), jnp.float32)
    np.testing.assert_allclose(got, exact, rtol=5e-5)
    early = slice(0, 5) if b2 > 0.99 else slice(0, 2)
    np.testing.assert_allclose(got[early], exact[early], rtol=3e-6)


def test_agrees_with_optax() -> None:
    """The look ahead, and the threshold, are optax's."""
    settings = {"b2": 0.9, "eps_root": 1e-3, "nesterov": True, "threshold": 4.5}
    ours = gradtx.radam(beside_optax.falling, **settings)
    beside_optax.assert_same(ours, optax.radam(beside_optax.falling, **settings))


def test_before_the_threshold_the_step_is_the_mean() -> None:
    """For a constant gradient u is g until step 6, and small at first from then on."""
    tx, g = gradtx.scale_by_radam(), jnp.float32([3.0])
    state = tx.init(g)
    for t in range(1, 8):
        u, state = tx.update(g, state)
        assert (abs(u[0] - 3) < 1e-5) if t < 6 else (0 < u[0] < 0.1)


def test_a_threshold_where_there_is_no_variance_is_refused() -> None:
    """Below 4 the root is not defined."""
    with pytest.raises(ValueError, match=r"radam.*threshold must be in \[4"):
        gradtx.radam(0.1, threshold=3.9)
