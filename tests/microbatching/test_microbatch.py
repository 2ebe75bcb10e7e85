"""Microbatches, against loops over slices in NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

from gradtx.microbatching import (
    AccumulationType,
    Accumulator,
    microbatch,
    reshape_batch_axis,
)

MEAN, SUM = AccumulationType.MEAN, AccumulationType.SUM
RUNNING_MEAN, CONCAT = AccumulationType.RUNNING_MEAN, AccumulationType.CONCAT
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)


def pieces(x: Any, size: int, axis: int = 0) -> list[Any]:
    """Return the microbatches: each takes every n-th example."""
    n = x.shape[axis] // size
    return [np.take(x, range(i, x.shape[axis], n), axis) for i in range(n)]


def interleaved(results: list[Any]) -> Any:
    """Return results with a batch axis in the order of the examples."""
    return np.stack(results, axis=1).reshape(-1, *np.shape(results[0])[1:])


# --- cutting -----------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_batch_is_cut_by_strides(axis: int) -> None:
    """Along the new axis lie the microbatches, each of every n-th example."""
    x = np.arange(4 * 6 * 6).reshape(4, 6, 6).swapaxes(0, axis)
    cut = reshape_batch_axis({"a": jnp.asarray(x)}, 2, axis)["a"]
    expected = np.stack(pieces(x, 2, axis), axis % 3)
    np.testing.assert_array_equal(cut, expected)


def test_a_numpy_array_is_not_rounded() -> None:
    """Arrays of NumPy stay such, so that 64 bits are kept."""
    cut = reshape_batch_axis(np.arange(4) + 2**40, 2)
    np.testing.assert_array_equal(cut, np.array([[0, 2], [1, 3]]) + 2**40)


# --- accumulating ------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 12])
def test_sums_means_and_results_of_each(size: int) -> None:
    """With its accumulator, every kind of function gives what the whole batch gives."""

    def fun(scale: Any, x: Any) -> Any:
        square = scale * x**2
        return {
            "each": (square, x[:, 0] > 0),
            "sum": square.sum(0),
            "mean": (square.mean(), square.mean(0)),
        }

    kinds = {"each": CONCAT, "sum": SUM, "mean": (MEAN, RUNNING_MEAN)}
    found = microbatch(fun, 1, size, kinds)(2.0, X)
    expected = fun(2.0, X)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected
    )
    assert found["each"][1].dtype == bool


@pytest.mark.parametrize("kind", AccumulationType)
@pytest.mark.one_in(2)
def test_left_out_microbatches(kind: AccumulationType) -> None:
    """Of n microbatches k are run; all but the running mean take the rest as zeros."""
    results = pieces(X, 3)
    for run in range(5):
        zeros = [x * (i < run) for i, x in enumerate(results)]
        expected = {
            SUM: sum(zeros),
            MEAN: sum(zeros) / 4,
            RUNNING_MEAN: sum(zeros) / max(run, 1),
            CONCAT: interleaved(zeros),
        }[kind]
        found = microbatch(
            lambda x: x, 0, 3, kind, num_real_microbatches=np.int32(run)
        )(X)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_traced_number_of_microbatches() -> None:
    """It compiles once for all numbers, is bounded by n, mapped, and differentiated."""
    compilations = []

    @jax.jit
    def f(slope: Any, run: Any) -> Any:
        compilations.append(1)
        fun = microbatch(lambda a, x: a * x.sum(), 1, 3, num_real_microbatches=run)
        return jax.value_and_grad(fun)(slope, X)

    sums = [x.sum() for x in pieces(X, 3)]
    for run in (0, 1, 3, 4, 9):
        value, slope = f(2.0, run)
        np.testing.assert_allclose(slope, sum(sums[:run]), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(value, 2 * slope, rtol=1e-6)
    assert len(compilations) == 1
    mapped = jax.vmap(f, (None, 0))(2.0, jnp.arange(5))[1]
    expected = [sum(sums[:run]) for run in range(5)]
    np.testing.assert_allclose(mapped, expected, rtol=1e-5, atol=1e-6)


def test_its_own_accumulator() -> None:
    """Init, update with the number of the microbatch, and finalize, in this order."""
    weighed = Accumulator(
        init=lambda kind: (jnp.ones(kind.shape, kind.dtype), jnp.int32(0)),
        update=lambda carry, x, i: (carry[0] * x, carry[1] + i),
        finalize=lambda carry: (carry[0] + 100, carry[1]),
        aggregate=jnp.prod,
    )
    product, numbers = microbatch(lambda x: x.sum(), 0, 3, weighed)(X)
    expected = np.prod([x.sum() for x in pieces(X, 3)]) + 100
    np.testing.assert_allclose(product, expected, rtol=1e-6)
    assert int(numbers) == 0 + 1 + 2 + 3


def test_half_precision_is_summed_in_float32() -> None:
    """A sum passes beyond the largest float16 and keeps what bfloat16 would round."""
    large = jnp.float16([60000, 60000, -60000, -60000])
    found = microbatch(lambda x: x.sum(), 0, 1)(large)
    assert found.dtype == jnp.float16
    assert found == 0
    small = jnp.ones(1024, jnp.bfloat16)
    for kind, expected in ((SUM, 1024), (MEAN, 1), (RUNNING_MEAN, 1)):
        found = microbatch(lambda x: x[0], 0, 1, kind)(small)
        assert found.dtype == jnp.bfloat16
        assert found == expected


def test_other_types() -> None:
    """Integers have means that are floats; complex numbers and random keys pass."""
    mean = microbatch(jnp.sum, 0, 2, MEAN)(jnp.arange(6))
    assert mean.dtype == jnp.float32
    assert mean == 5
    found = microbatch(lambda x: x.sum(), 0, 2, MEAN)(1j * X[:, 0])
    np.testing.assert_allclose(found, 1j * X[:, 0].sum() / 6, rtol=1e-5)
    keys = jax.random.split(jax.random.key(0), 6)
    same = microbatch(lambda k: k, 0, 2, CONCAT)(keys)
    assert jnp.all(same == keys)


@pytest.mark.usefixtures("x64")
def test_float64() -> None:
    """Where there are 64 bits, they are kept."""
    x = jnp.asarray(X, jnp.float64) + 1e-12
    found = microbatch(lambda x: x.sum(), 0, 4)(x)
    np.testing.assert_allclose(found, np.sum(x), rtol=1e-15)
    assert found.dtype == jnp.float64


# --- arguments ---------------------------------------------------------------


def test_arguments_by_position_name_and_axis() -> None:
    """An argument is found by position or name, and cut along its own axes."""

    def fun(a: Any, b: Any, sign: str) -> Any:
        assert a["x"].shape == (4, 3)
        assert b.shape == (3, 4)
        return a["weight"] * (a["x"] * b.T).sum(0) * (-1 if sign == "minus" else 1)

    a, b = {"x": X, "weight": 2.0}, X.T
    expected = -2 * (X * X).sum(0)
    axes = {"x": 0, "weight": None}
    calls = [
        microbatch(fun, (0, 1), 4, in_axes=(axes, 1))(a, b, "minus"),
        microbatch(fun, (-2, -3), 4, in_axes=(-1, axes))(a, b, "minus"),
        microbatch(fun, 0, 4, argnames="b", in_axes=(axes, 1))(a, sign="minus", b=b),
    ]
    for found in calls:
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_function_is_traced_once() -> None:
    """What a large model costs to trace is not paid twice, nor once per microbatch."""
    traced = []

    def fun(x: Any) -> Any:
        traced.append(1)
        return x.sum()

    jax.make_jaxpr(microbatch(fun, 0, 3))(X)
    assert len(traced) == 1


def test_without_microbatches() -> None:
    """Size None calls the function once, with the batch as it is."""
    np.testing.assert_array_equal(microbatch(lambda x: x, 0, None)(X), X)


def test_within_other_transformations() -> None:
    """Gradients, maps and compilation see through it."""

    def loss(w: Any, x: Any) -> Any:
        return jnp.tanh(x @ w).sum()

    w = jnp.float32([0.1, -0.2, 0.3])
    cut = microbatch(loss, 1, 3)
    for argnums in (0, 1):
        expected = jax.grad(loss, argnums)(w, X)
        for f in (jax.grad(cut, argnums), jax.jit(jax.grad(cut, argnums))):
            np.testing.assert_allclose(f(w, X), expected, rtol=1e-5)
    stack = jnp.stack([w, 2 * w])
    expected = jax.vmap(loss, (0, None))(stack, X)
    np.testing.assert_allclose(jax.vmap(cut, (0, None))(stack, X), expected, rtol=1e-5)


def mesh(kind: Any) -> Any:
    """Return a mesh of the eight devices along one axis."""
    return jax.make_mesh((8,), ("d",), axis_types=(kind,))


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_a_batch_spread_over_devices_stays_where_it_is(kind: Any) -> None:
    """Every microbatch is spread as the batch is; no example leaves its device."""
    x = np.arange(32.0, dtype=np.float32)
    over = mesh(kind)
    with jax.set_mesh(over):
        spread = jax.device_put(x, NamedSharding(over, P("d")))
        f = jax.jit(microbatch(lambda x: (2 * x, x.sum()), 0, 8, (CONCAT, SUM)))
        each, total = f(spread)
        assert each.sharding.spec == P("d")
        assert reshape_batch_axis(spread, 8).sharding.spec == P(None, "d")
        program = f.lower(spread).compile().as_text()
    np.testing.assert_array_equal(each, 2 * x)
    assert total == x.sum()
    assert not any(word in program for word in ("all-gather", "all-to-all", "permute"))


def test_within_shard_map() -> None:
    """Every device may cut its own part into microbatches."""
    x = np.arange(32.0, dtype=np.float32)

    def local(x: Any) -> Any:
        return microbatch(lambda x: (x.sum()[None], 2 * x), 0, 2, (SUM, CONCAT))(x)

    over = mesh(AxisType.Auto)
    sums, each = jax.shard_map(local, mesh=over, in_specs=P("d"), out_specs=P("d"))(x)
    np.testing.assert_array_equal(sums, x.reshape(8, 4).sum(1))
    np.testing.assert_array_equal(each, 2 * x)


# --- what is refused ---------------------------------------------------------


def total(x: Any, y: Any = 0) -> Any:
    """Return a sum."""
    return jnp.sum(x) + jnp.sum(y)


def growing() -> Accumulator:
    """Return an accumulator that does not keep its carry's shape."""
    return Accumulator(
        lambda kind: jnp.zeros(kind.shape), lambda c, x, _: [c, x], sum, jnp.sum
    )


REFUSED = [
    (lambda: microbatch(total, 0, 0), "microbatch_size must be a whole number"),
    (lambda: microbatch(total, 0, 2, in_axes=(0, 1)), "in_axes must be one axis"),
    (
        lambda: microbatch(total, 0, None, num_real_microbatches=2),
        "give microbatch_size",
    ),
    (lambda: microbatch(total, 0, 5)(X), "12 in argument 0 must be divisible by"),
    (lambda: microbatch(total, 0, 1)(X[:0]), "the batch of 0 in argument 0"),
    (lambda: microbatch(total, 1, 2)(X), "not given the argument 1 by position"),
    (lambda: microbatch(total, -2, 2)(X), "not given the argument -2 by position"),
    (lambda: microbatch(total, 0, 2, argnames="y")(X), "argument 'y' by name"),
    (lambda: microbatch(total, (), 2)(X), "no argument has a batch axis"),
    (
        lambda: microbatch(total, 0, 2, in_axes=2)(X),
        r"argument 0 has no axis 2 .*12, 3",
    ),
    (lambda: microbatch(total, 0, 2)({"a": 1.0}), r"argument 0\['a'\] has no axis 0"),
    (
        lambda: microbatch(total, 0, 2, argnames="y")(X, y=[X[:4]]),
        r"12 in argument 0 and 4 in argument 'y'\[0\]",
    ),
    (lambda: microbatch(total, 0, 2, in_axes=({"b": 0},))([X]), "in_axes does not"),
    (lambda: microbatch(total, 0, 2, "sum")(X), "an accumulator must be one of"),
    (
        lambda: microbatch(total, 0, 2, (SUM, SUM))(X),
        "no prefix of the tree of results",
    ),
    (lambda: microbatch(total, 0, 2, growing())(X), "must keep the shapes and types"),
    (lambda: microbatch(total, 0, 2, num_real_microbatches=7)(X), "from 0 to 6"),
    (lambda: microbatch(total, 0, 2, num_real_microbatches=1.5)(X), "got 1.5"),
    (
        lambda: reshape_batch_axis([X], 5),
        r"reshape_batch_axis: the batch of 12 in \[0\]",
    ),
    (lambda: reshape_batch_axis(X, 2, 2), "the array has no axis 2"),
]


@pytest.mark.parametrize(
    ("call", "words"), REFUSED, ids=[words for _, words in REFUSED]
)
def test_refusals(call: Any, words: str) -> None:
    """What does not fit is refused with the argument's name and what came."""
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert str(error.value).startswith(("microbatch: ", "reshape_batch_axis: "))
