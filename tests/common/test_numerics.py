"""Arithmetic at its edges."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.common import numerics

INF, NAN = float("inf"), float("nan")


def test_ratio_is_zero_where_the_denominator_is() -> None:
    """0 / 0 and 1 / 0 are 0, their derivatives too; elsewhere it is the quotient."""
    x, y = jnp.float32([0, 1, 6]), jnp.float32([0, 0, 3])
    np.testing.assert_array_equal(numerics.safe_divide(x, y), [0, 0, 2])
    slopes = jax.grad(lambda x, y: numerics.safe_divide(x, y).sum(), (0, 1))(x, y)
    np.testing.assert_allclose(slopes[0], [0, 0, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(slopes[1], [0, 0, -2 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gradtx.adam(0.1, eps=0.0),
        lambda: gradtx.adabelief(0.1, eps=0.0, eps_root=0.0),
        lambda: gradtx.rmsprop(0.1, eps=0.0),
        lambda: gradtx.rmsprop(0.1, eps=0.0, centered=True),
        lambda: gradtx.adagrad(0.1, 0.0, eps=0.0),
    ],
    ids=["adam", "adabelief", "rmsprop", "centered", "adagrad"],
)
@pytest.mark.one_in(2)
def test_without_any_epsilon(make: Any) -> None:
    """With every epsilon 0, a zero gradient makes a zero update, and finite slopes."""
    tx, params = make(), jnp.ones(2)
    g = jnp.float32([0, 2])

    def move(g: Any) -> Any:
        return tx.update(g, tx.init(params), params)[0]

    assert move(g)[0] == 0
    assert jnp.isfinite(move(g)).all()
    assert jnp.isfinite(jax.grad(lambda g: move(g).sum())(g)).all()


def test_the_root_has_a_slope_at_zero() -> None:
    """√0 is 0 with slope 0; elsewhere the slope is 1 / 2√x, in second order too."""
    x = jnp.float32([0, 4])
    np.testing.assert_array_equal(numerics.sqrt(x), [0, 2])
    np.testing.assert_array_equal(jax.vmap(jax.grad(numerics.sqrt))(x), [0, 0.25])
    twice = jax.vmap(jax.grad(jax.grad(numerics.sqrt)))(x)
    np.testing.assert_allclose(twice, [0, -1 / 32])


def test_the_inverse_root_has_a_slope_at_zero() -> None:
    """1/√0 is 0 with slope 0; elsewhere the slope is -x^(-3/2) / 2."""
    x = jnp.float32([0, 4])
    np.testing.assert_allclose(numerics.inverse_sqrt(x), [0, 0.5], rtol=1e-6)
    slopes = jax.vmap(jax.grad(numerics.inverse_sqrt))(x)
    np.testing.assert_allclose(slopes, [0, -1 / 16], rtol=1e-6)


@pytest.mark.parametrize("x", [0.5, -3.0, 3e20, INF, 3 + 4j])
def test_sums_and_means_of_squares_stay_finite(x: complex) -> None:
    """They add |x|², or an eighth of the largest float where that is smaller."""
    bound = float(np.finfo(np.float32).max) / 8
    y, old = min(abs(x) ** 2, bound), jnp.float32([0, 2, 1e37])
    given = jnp.full(3, x, jnp.complex64 if isinstance(x, complex) else jnp.float32)
    mean = numerics.ema_of_squares(old, given, 0.9)
    np.testing.assert_allclose(mean, 0.9 * np.float64(old) + 0.1 * y, rtol=1e-6)
    total = numerics.add_squares(old, given)
    np.testing.assert_allclose(total, np.float64(old) + y, rtol=1e-6)
    assert np.isnan(numerics.ema_of_squares(old, given * NAN, 0.9)).all()
    assert np.isfinite(numerics.add_squares(jnp.full(3, bound * 1.9), given)).all()


def test_squares_stay_finite() -> None:
    """|x|² is real, at most an eighth of the largest float; NaN stays NaN."""
    bound = np.finfo(np.float32).max / 8
    x = jnp.float32([3, 1e20, -INF, NAN])
    np.testing.assert_allclose(numerics.abs_sq(x), [9, bound, bound, NAN], rtol=1e-6)
    z = numerics.abs_sq(jnp.complex64([3 - 4j]))
    assert z.dtype == jnp.float32
    assert z[0] == 25


@pytest.mark.parametrize("base", [0.0, 0.5, 0.9, 0.999, 0.99999999])
@pytest.mark.parametrize("kind", [float, np.float64, np.float32, jnp.float32])
def test_one_minus_a_power(base: float, kind: Any) -> None:
    """1 - βᵗ is that of the given β to float32's rounding, from t = 0 on."""
    given = kind(base)
    count = jnp.int32([0, 1, 2, 1000, 2**30])
    exact = 1 - np.power(np.longdouble(given), np.asarray(count, np.longdouble))
    got = numerics.one_minus_power(given, count, jnp.float32)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, np.asarray(exact, float), rtol=1e-6)


def test_one_minus_a_power_is_differentiable() -> None:
    """The derivative in β is -t βᵗ⁻¹, and finite at β = 0."""
    slope = jax.grad(lambda b: numerics.one_minus_power(b, 3, jnp.float32))
    np.testing.assert_allclose(slope(0.5), -3 * 0.25, rtol=1e-5)
    assert jnp.isfinite(slope(0.0))


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint32", "float32", "bfloat16"])
def test_counts_saturate(dtype: str) -> None:
    """A count goes up by one, keeps its type, and stays at the largest."""
    info = jnp.finfo if "float" in dtype else jnp.iinfo
    largest = jnp.array(info(dtype).max, dtype)
    for count, after in ((jnp.array(7, dtype), 8), (largest, largest)):
        got = numerics.safe_increment(count)
        assert got.dtype == dtype
        assert got == after


@pytest.mark.parametrize("count", [True, 1j])
def test_only_numbers_count(count: Any) -> None:
    """Flags and complex numbers are no counts."""
    with pytest.raises(ValueError, match=r"safe_increment.*(bool|complex)"):
        numerics.safe_increment(count)


def test_wide_types() -> None:
    """Half-precision types become float32, all others stay."""
    names = ["float16", "bfloat16", "float8_e4m3fn", "float32", "float64", "complex64"]
    wide = [numerics.compute_dtype(name).name for name in names]
    assert wide == ["float32"] * 4 + ["float64", "complex64"]


def test_means_of_large_numbers_are_finite() -> None:
    """Of numbers near the largest float, along any axes, and of none at all."""
    largest = float(jnp.finfo(jnp.float32).max) / 8
    x = jnp.full((3, 100), largest)
    for axis in (None, 0, -1, (0, 1)):
        got = numerics.mean(x, axis)
        np.testing.assert_allclose(got, np.float32(largest), rtol=1e-6)
    assert numerics.mean(x, 1, keepdims=True).shape == (3, 1)
    assert numerics.mean(jnp.zeros((0, 2))) == 0
    y = jnp.linspace(0.1, 1, 30).reshape(5, 6)
    np.testing.assert_allclose(numerics.mean(y, 0), jnp.mean(y, 0), rtol=2e-7)
    huge = jnp.full(100, 1e18)
    np.testing.assert_allclose(gradtx.safe_root_mean_squares(huge, 0), 1e18, 1e-6)
