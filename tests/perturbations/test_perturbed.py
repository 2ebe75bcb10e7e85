"""Perturbed functions, against means and derivatives that are known."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gradtx import perturbations
from gradtx.perturbations import Gumbel, Normal, make_perturbed_fun

KEY = jax.random.key(0)
NOISES = pytest.mark.parametrize("noise", [Gumbel(), Normal()], ids=str)


def hot(x: jax.Array) -> jax.Array:
    """Return the one-hot vector of the largest entry, which has no slope."""
    return jax.nn.one_hot(jnp.argmax(x), x.size)


@pytest.mark.exhaustive
def test_argmax_under_gumbel_noise_is_softmax() -> None:
    """Values and Jacobian of the perturbed argmax are those of the softmax."""
    x = jnp.float32([0.3, -0.2, 0.5])
    f = jax.jit(make_perturbed_fun(hot, 50_000, 0.7))
    np.testing.assert_allclose(f(KEY, x), jax.nn.softmax(x / 0.7), atol=0.01)
    slope = jax.jacobian(f, argnums=1)(KEY, x)
    expected = jax.jacobian(lambda x: jax.nn.softmax(x / 0.7))(x)
    np.testing.assert_allclose(slope, expected, atol=0.02)


@pytest.mark.exhaustive
@NOISES
def test_derivatives_of_a_jump(noise: Any) -> None:
    """First and second derivatives of a smoothed step are those of its integral."""
    x, sigma = 0.3, 0.5
    law = scipy.stats.norm if isinstance(noise, Normal) else scipy.stats.gumbel_r

    def smooth(x: float) -> float:  # P(x + σ z > 0)
        return law.sf(-x / sigma)

    step = make_perturbed_fun(lambda x: (x > 0).astype(float), 200_000, sigma, noise)
    f = jax.jit(lambda x: step(KEY, x))
    h = 1e-3
    first = (smooth(x + h) - smooth(x - h)) / (2 * h)
    second = (smooth(x + h) - 2 * smooth(x) + smooth(x - h)) / h**2
    np.testing.assert_allclose(f(x), smooth(x), atol=0.01)
    np.testing.assert_allclose(jax.grad(f)(x), first, atol=0.02)
    np.testing.assert_allclose(jax.grad(jax.grad(f))(x), second, atol=0.1)


@NOISES
@pytest.mark.parametrize("baseline", [True, False])
@pytest.mark.one_in(6)
def test_estimates_are_sums_over_the_samples(noise: Any, baseline: bool) -> None:
    """Value and gradient are the sums of the definition, over the samples drawn."""
    x, sigma, number = jnp.float32([1, -0.5]), 0.3, 4
    f = make_perturbed_fun(lambda v: jnp.sum(v**3), number, sigma, noise, baseline)
    value, slope = jax.jit(jax.value_and_grad(f, 1))(KEY, x)
    z = np.stack(
        [
            noise.sample(jax.random.split(k, 1)[0], (2,), jnp.float32)
            for k in jax.random.split(KEY, number)
        ]
    ).astype(np.float64)
    samples = np.sum((np.float64(x) + sigma * z) ** 3, 1)
    score = z if isinstance(noise, Normal) else 1 - np.exp(-z)  # -∇ log μ
    base = np.sum(np.float64(x) ** 3) if baseline else 0
    np.testing.assert_allclose(value, samples.mean(), rtol=1e-5)
    expected = np.mean((samples - base)[:, None] * score, 0) / sigma
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_baseline_scatters_less() -> None:
    """Far from 0, the baseline takes most of the scatter out of the gradient."""
    x = jnp.float32(0.1)
    with_it, without = (
        jax.jit(
            jax.vmap(
                jax.grad(
                    make_perturbed_fun(lambda v: v + 10, 3, 1.0, Normal(), use), 1
                ),
                (0, None),
            )
        )(jax.random.split(KEY, 100), x)
        for use in (True, False)
    )
    assert jnp.std(with_it) < jnp.std(without) / 3


def test_trees_and_integers() -> None:
    """Trees go in and out; integers and truth values become their means."""

    def fun(tree: Any) -> Any:
        total = tree["a"].sum() + tree["b"]
        return {"index": jnp.argmax(tree["a"]), "sign": total > 0, "sum": total}

    tree = {"a": jnp.float32([[1, 2]]), "b": jnp.float32(0.5)}
    f = jax.jit(make_perturbed_fun(fun, 500, 1e-3))
    out = f(KEY, tree)
    assert {k: v.shape for k, v in out.items()} == dict.fromkeys(out, ())
    assert all(v.dtype == jnp.float32 for v in out.values())
    np.testing.assert_allclose(out["index"], 1)
    np.testing.assert_allclose(out["sign"], 1)
    np.testing.assert_allclose(out["sum"], 3.5, atol=0.01)
    slope = jax.grad(lambda t: f(KEY, t)["sum"])(tree)
    assert jax.tree.structure(slope) == jax.tree.structure(tree)


def test_function_is_only_called() -> None:
    """The function's own derivatives are never asked for."""

    @jax.custom_jvp
    def fun(x: jax.Array) -> jax.Array:
        return x

    @fun.defjvp
    def _(_primals: Any, _tangents: Any) -> Any:
        raise AssertionError

    slope = jax.grad(make_perturbed_fun(fun, 5), 1)(KEY, jnp.float32(0))
    assert jnp.isfinite(slope)


def test_half_precision() -> None:
    """Half-precision arguments stay so, and their derivatives are finite sums."""
    x = jnp.bfloat16([0.5, -0.5])
    seen = []

    def fun(v: jax.Array) -> jax.Array:
        seen.append(v.dtype)
        return jnp.sum(v * v)

    f = make_perturbed_fun(fun, 2_000, jnp.float32(0.5), Normal())
    value, slope = jax.jit(jax.value_and_grad(f, 1))(KEY, x)
    assert set(seen) == {jnp.dtype(jnp.bfloat16)}
    assert value.dtype == slope.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(value), 1.0, atol=0.1)
    np.testing.assert_allclose(np.float32(slope), [1, -1], atol=0.25)


def test_sigma_may_be_traced() -> None:
    """How far to look around may be swept in one program."""

    def value(sigma: jax.Array) -> jax.Array:
        return make_perturbed_fun(jnp.abs, 1000, sigma, Normal())(KEY, jnp.float32(0))

    sigmas = jnp.float32([0.5, 2])
    got = jax.jit(jax.vmap(value))(sigmas)
    np.testing.assert_allclose(got, sigmas * np.sqrt(2 / np.pi), rtol=0.1)


@NOISES
def test_noise_is_a_value(noise: Any) -> None:
    """A distribution prints, compares, hashes and pickles."""
    assert noise == type(noise)() == pickle.loads(pickle.dumps(noise))  # noqa: S301
    assert hash(noise) == hash(type(noise)())
    assert repr(noise) == f"{type(noise).__name__}()"
    assert {n for n in vars(perturbations) if not n.startswith("_")} >= {
        type(noise).__name__
    }


@NOISES
def test_noise_follows_its_law(noise: Any) -> None:
    """Samples follow the density, and its logarithm is right up to a constant."""
    law = scipy.stats.norm if isinstance(noise, Normal) else scipy.stats.gumbel_r
    samples = noise.sample(KEY, (2000,), jnp.float32)
    assert scipy.stats.kstest(np.asarray(samples), law.cdf).pvalue > 1e-3
    x = np.linspace(-2, 4, 7)
    gap = noise.log_prob(jnp.float32(x)) - law.logpdf(x)
    np.testing.assert_allclose(gap, gap[0], atol=1e-5)


def test_wrong_arguments() -> None:
    """No samples, no distance, and leaves that cannot be moved are errors."""
    with pytest.raises(ValueError, match="num_samples"):
        make_perturbed_fun(hot, 0)
    with pytest.raises(ValueError, match="sigma"):
        make_perturbed_fun(hot, sigma=0.0)
    with pytest.raises(ValueError, match=r"\['n'\].*int32"):
        make_perturbed_fun(lambda t: t["n"], 3)(KEY, {"n": jnp.arange(2)})
