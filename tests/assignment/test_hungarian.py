"""The Hungarian algorithm, against SciPy's and all permutations."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from gradtx.assignment import base_hungarian_algorithm, hungarian_algorithm

RNG = np.random.default_rng(0)


def check(costs: Any, pairs: Any) -> None:
    """The pairs are an assignment, rows ascending, and no other one costs less."""
    i, j = map(np.asarray, pairs)
    costs = np.asarray(costs, np.float64)
    assert i.shape == j.shape == (min(costs.shape),)
    assert np.issubdtype(i.dtype, np.integer)
    assert np.all(np.diff(i) > 0)
    assert len(set(j.tolist())) == len(j)
    assert np.all((i >= 0) & (j >= 0) & (j < costs.shape[1]))
    best = costs[scipy.optimize.linear_sum_assignment(costs)].sum()
    np.testing.assert_allclose(costs[i, j].sum(), best, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (5, 5), (4, 7), (7, 4)])
@pytest.mark.one_in(6)
def test_costs_least(shape: tuple[int, int]) -> None:
    """It is the cheapest assignment of many matrices at once, with ties and without."""
    many = RNG.normal(size=(80, *shape)).astype(np.float32)
    many[:40] = np.round(many[:40])
    rows, columns = jax.jit(jax.vmap(hungarian_algorithm))(many)
    for costs, i, j in zip(many, rows, columns, strict=True):
        check(costs, (i, j))


def test_all_permutations() -> None:
    """SciPy apart, no permutation costs less."""
    costs = RNG.random((5, 5)).astype(np.float32)
    i, j = hungarian_algorithm(costs)
    least = min(
        sum(costs[r, c] for r, c in enumerate(p))
        for p in itertools.permutations(range(5))
    )
    np.testing.assert_allclose(costs[i, j].sum(), least, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_assign(shape: tuple[int, int]) -> None:
    """Matrices without entries have no pairs, also many of them, also none."""
    check(np.zeros(shape), hungarian_algorithm(jnp.zeros(shape)))
    for number in (0, 2):
        i, j = jax.vmap(hungarian_algorithm)(jnp.zeros((number, *shape)))
        assert i.shape == j.shape == (number, 0)
    i, j = jax.vmap(hungarian_algorithm)(jnp.zeros((0, 2, 3)))
    assert i.shape == j.shape == (0, 2)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["int8", "int32", "bool", "bfloat16", "float16"])
def test_types(dtype: str) -> None:
    """Few bits do not overflow, and do not round the sums."""
    largest = {"int8": 127, "float16": 6e4, "bool": 2, "int32": 1e6}.get(dtype, 1e9)
    many = np.trunc(largest * RNG.uniform(-1, 1, (100, 5, 5)))
    many = jnp.asarray(many, jnp.float32).astype(dtype)
    rows, columns = jax.jit(jax.vmap(hungarian_algorithm))(many)
    for costs, i, j in zip(many.astype(jnp.float32), rows, columns, strict=True):
        check(costs, (i, j))


def test_integers_are_exact() -> None:
    """Integers that differ by less than float32 can tell are told apart."""
    costs = jnp.array([[2**24 + 1, 2**24], [2**24 + 2, 2**24 + 2]])
    _, j = hungarian_algorithm(costs)
    np.testing.assert_array_equal(j, [1, 0])


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
@pytest.mark.one_in(2)
def test_large_integers_do_not_overflow(dtype: str) -> None:
    """Over the whole range of the type, only the lowest bits of the costs are lost."""
    info = np.iinfo(dtype)
    many = RNG.integers(info.min, info.max, (300, 5, 5), endpoint=True)
    rows, columns = jax.jit(jax.vmap(hungarian_algorithm))(many.astype(dtype))
    for costs, i, j in zip(many, rows, columns, strict=True):
        best = costs[scipy.optimize.linear_sum_assignment(costs)].sum()
        assert costs[i, j].sum() - best <= 5 * 2**5


def test_forbidden_pairs() -> None:
    """Infinite costs are avoided where they can be, and taken where they must be."""
    inf = jnp.inf
    costs = jnp.float32([[inf, 5, inf], [1, 2, inf], [3, inf, 4]])
    i, j = hungarian_algorithm(costs)
    assert costs[i, j].sum() == 10
    hidden = jnp.where(costs == inf, jnp.nan, costs)
    np.testing.assert_array_equal(hungarian_algorithm(hidden)[1], j)
    stuck = jnp.float32([[inf, inf], [inf, 1]])
    i, j = hungarian_algorithm(stuck)
    np.testing.assert_array_equal(j, [0, 1])
    for costs in (jnp.full((3, 4), inf), jnp.full((4, 3), jnp.nan)):
        i, j = hungarian_algorithm(costs)
        assert len(set(np.asarray(j).tolist())) == 3


@pytest.mark.exhaustive
def test_forbidden_pairs_like_scipy() -> None:
    """With a third of the pairs forbidden, the cheapest way around is found."""
    many = RNG.normal(size=(30, 6, 6)).astype(np.float32)
    many[RNG.random(many.shape) < 0.3] = np.inf
    for k in range(6):  # a way around exists
        many[:, k, (k + 1) % 6] = 5
    rows, columns = jax.jit(jax.vmap(hungarian_algorithm))(many)
    for costs, i, j in zip(many, rows, columns, strict=True):
        check(costs, (i, j))


def test_cost_has_a_slope() -> None:
    """The gradient of the least cost is 1 at the pairs chosen."""
    costs = jnp.float32([[8, 4, 7], [5, 2, 3], [9, 6, 7], [9, 4, 8]])

    def least(costs: jax.Array) -> jax.Array:
        return costs[hungarian_algorithm(costs)].sum()

    value, slope = jax.jit(jax.value_and_grad(least))(costs)
    assert value == 15
    assert slope.sum() == 3
    np.testing.assert_array_equal(slope.max(1)[jnp.array([0, 1])], [1, 1])


def test_both_names() -> None:
    """The second name is the same algorithm."""
    costs = jnp.asarray(RNG.random((4, 6)))
    for a, b in zip(
        hungarian_algorithm(costs), base_hungarian_algorithm(costs), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_in_float64() -> None:
    """In float64 the sums are float64."""
    with jax.enable_x64(True):  # noqa: FBT003
        costs = jnp.array([[1 + 1e-12, 1.0], [1.0, 1 + 3e-12]])
        check(costs, hungarian_algorithm(costs))
        np.testing.assert_array_equal(hungarian_algorithm(costs)[1], [1, 0])


def test_wrong_arguments() -> None:
    """What is no matrix, or complex, is an error."""
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*vmap"):
        hungarian_algorithm(jnp.zeros((2, 3, 4)))
    with pytest.raises(TypeError, match="complex64"):
        hungarian_algorithm(jnp.zeros((2, 2), jnp.complex64))
