"""The normal distribution with a scale for every entry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gradtx import multi_normal

LOC = np.float32([[0.5, -1.0, 2.0]])  # broadcasts over the two rows of scales
LOG_SCALE = np.float32([[0.0, 0.5, -1.0], [1.0, -0.5, 0.2]])


def test_the_density_is_the_product_of_its_entries() -> None:
    """It gives log p(x) = Σᵢ log N(xᵢ; μᵢ, exp(2 sᵢ)), summed over all axes."""
    law = scipy.stats.norm(LOC, np.exp(LOG_SCALE))
    x = np.linspace(-2, 3, 12, dtype=np.float32).reshape(2, 2, 3)
    got = multi_normal(LOC, LOG_SCALE).log_prob(x)
    np.testing.assert_allclose(got, law.logpdf(x).sum(axis=(1, 2)), rtol=1e-5)


def test_samples_follow_the_density() -> None:
    """Every entry has its own mean and scale; the sample's shape comes first."""
    law = multi_normal(LOC, LOG_SCALE)
    samples = law.sample((50, 40), jax.random.key(1))
    assert samples.shape == (50, 40, 2, 3)
    z = (np.asarray(samples) - LOC) / np.exp(LOG_SCALE)
    assert scipy.stats.kstest(z.ravel(), scipy.stats.norm.cdf).pvalue > 1e-3
    mean, log_scale = law.params
    np.testing.assert_array_equal(mean, LOC)
    np.testing.assert_array_equal(log_scale, law.log_scale)


def test_shapes_must_broadcast() -> None:
    """A mean and a scale that do not fit are refused when they are given."""
    with pytest.raises(ValueError, match="Incompatible shapes"):
        multi_normal(jnp.zeros(2), jnp.zeros(3))
