"""Tests of several sums in one reading."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.tree import sums as module
from gradtx.tree.sums import sums


def arrays(shape=(2, 3)):
    """Return two arrays of normal numbers."""
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=shape).astype(np.float32) for _ in range(2))


@pytest.mark.parametrize("shape", [(2, 3), (5,), (), (0, 3)])
@pytest.mark.parametrize("way", [sums, module._at_once])  # noqa: SLF001
def test_sums_are_those_of_every_array(way, shape):
    """Taken at once, as on a GPU, or apart, they are NumPy's; batches too."""
    given = arrays(shape)
    np.testing.assert_allclose(way(given), [x.sum() for x in given], rtol=1e-5)
    batch = [np.stack([x, 2 * x]) for x in given]
    wanted = [[x.sum(), 2 * x.sum()] for x in given]
    np.testing.assert_allclose(jax.vmap(way)(tuple(batch)), wanted, rtol=1e-5)


def test_slopes_of_sums_are_one_everywhere():
    """Forwards and backwards each entry counts once, and twice over not at all."""
    given = arrays()

    def weighted(x, y):
        first, second = sums((x, y))
        return first + 2 * second

    for slope, wanted in zip(jax.grad(weighted, (0, 1))(*given), (1, 2), strict=True):
        np.testing.assert_array_equal(slope, np.full((2, 3), wanted))
    assert not np.any(jax.hessian(weighted)(*given))


def test_a_gpu_sums_at_once_and_others_apart():
    """Only the program for a GPU has one reduction for both."""
    traced = jax.jit(sums).trace(tuple(map(jnp.asarray, arrays())))
    for platform, many in {"cuda": 1, "cpu": 2, "tpu": 2}.items():
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.reduce(") == many, platform
