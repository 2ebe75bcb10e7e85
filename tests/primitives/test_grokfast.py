"""Grokfast: what its window holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from problems import mesh, spread

import gradtx

GRADS = [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize("filter_type", ["mean", "sum"])
def test_the_window(warmup: bool, filter_type: str) -> None:
    """The mean or the sum of the last three, when there are three or from the first."""
    tx = gradtx.grokfast_ma(3, 0.5, filter_type, warmup=warmup)
    state = tx.init(jnp.zeros(1))
    for t, g in enumerate(GRADS):
        u, state = tx.update(jnp.full(1, g), state)
        last = GRADS[max(0, t - 2) : t + 1]
        slow = sum(last) / (len(last) if filter_type == "mean" else 1)
        np.testing.assert_allclose(u, g + 0.5 * slow * (t >= 2 or not warmup))


def test_the_window_is_sharded_as_the_parameter() -> None:
    """The new first axis lies whole on every device, the others as the parameter's."""
    over = mesh(AxisType.Auto)
    params = spread({"w": jnp.ones((8, 2))}, over)
    for init in (gradtx.grokfast_ma(3).init, jax.jit(gradtx.grokfast_ma(3).init)):
        window = init(params).window["w"]
        assert window.shape == (3, 8, 2)
        assert window.sharding.shard_shape(window.shape) == (3, 1, 2)


def test_another_filter_is_refused() -> None:
    """The filters are named."""
    with pytest.raises(ValueError, match=r"grokfast_ma: filter_type .*'median'"):
        gradtx.grokfast_ma(3, filter_type="median")
