"""A function as data: its operations are structure, what it closes over is not."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx.lowering.closures import Function, as_data

X = jnp.float32([0.5, -2.0, 3.0])


@jax.jit
def called(function: Any, x: Any) -> Any:
    """Call a function that was given as data."""
    return function(x)


def result(function: Callable[..., Any], x: Any = X) -> Any:
    """Return what a function returns when a compiled program calls it as data."""
    with as_data(function, x) as form:
        assert isinstance(form, Function)
        return called(form, x)


@jax.custom_vjp
def clipped(x: Any) -> Any:
    """Return the argument, with a gradient of its own."""
    return x * 2


clipped.defvjp(lambda x: (clipped(x), x), lambda x, g: (jnp.sign(x) * g,))


def looped(x: Any, batch: Any) -> Any:
    """Go over a batch in a loop that holds a branch and a loop."""

    def body(total: Any, y: Any) -> Any:
        y = jax.lax.cond(y > 0, lambda: y * x, lambda: jax.nn.softplus(x))
        y = jax.lax.fori_loop(0, 3, lambda _, z: z * 1.5, y)
        return total + y, None

    return jax.lax.scan(body, jnp.zeros_like(x), batch)[0]


def jitted_in_loops(inner: Any, x: Any) -> Any:
    """Call what is jitted within a scan of a branch, and in both parts of a loop."""
    twice = jax.jit(lambda y: inner(y, inner(y, y)))

    def body(total: Any, y: Any) -> Any:
        y = jax.lax.cond(y[0] > 0, twice, lambda y: y, y)
        return (total[0] + inner(y, x), total[1] + 1), (total[0], y)

    start = (jnp.zeros_like(x), 0)
    (total, _), ys = jax.lax.scan(body, start, jnp.stack([x, 2 * x]), reverse=True)
    goes_on = lambda y: jnp.abs(inner(y[0], x)[0]) < 50 + total[0]  # noqa: E731
    end = jax.lax.while_loop(goes_on, lambda y: (twice(y[0]), y[1] + 1), (x, 0))
    return total, ys, end


def with_a_number(x: Any, n: float) -> Any:
    """Write a number into a branch, both parts of a loop and the loop around them."""

    def body(x: Any, y: Any) -> Any:
        x = jax.lax.cond(y > 0, lambda: x * n, lambda: x + n / 2)
        small = lambda z: jnp.sum(jnp.abs(z)) < n * 3  # noqa: E731
        x = jax.lax.while_loop(small, lambda z: z * 1.1 + n + 0.1, x)
        return jax.nn.softplus(x) * n + 0.25, y * n

    return jax.lax.scan(body, x, X)


def recomputed_in_loops(inner: Any, x: Any) -> Any:
    """Recompute in a loop of a loop."""
    inner = jax.checkpoint(inner)
    return jax.lax.map(lambda z: jax.lax.map(inner, z), x[None])


KINDS: dict[str, Callable[[Any, float, int], Callable[[Any], Any]]] = {
    "arrays": lambda a, *_: lambda x: jnp.sum(x * a),
    "numbers": lambda a, n, i: lambda x: n * jnp.sum(x**2) + n / 2 + jnp.max(a) + i,
    "jitted": lambda a, n, _: jax.jit(lambda x: jnp.sin(n * x) @ a),
    "jitted twice": lambda a, n, _: jax.jit(
        lambda y: y + jax.jit(lambda z: z * a + n)(y) * jnp.max(a)
    ),
    "with rules": lambda a, *_: lambda x: clipped(jax.nn.relu(x) * a),
    "loops": lambda a, *_: lambda x: looped(x, a),
    "jitted in loops": lambda a, *_: (
        lambda x: jitted_in_loops(
            jax.jit(lambda y, z: y * jnp.max(a) + jnp.sum(z) * a), x
        )
    ),
    "number in loops": lambda _, n, *__: lambda x: with_a_number(x, n),
    "checkpoint": lambda a, n, _: jax.checkpoint(lambda x: jnp.sin(x * a) * n + n),
    "checkpoint in loops": lambda a, n, _: (
        lambda x: recomputed_in_loops(jax.jit(lambda z: z * jnp.max(a) + n), x)
    ),
    "gradient of a checkpoint": lambda a, n, _: jax.value_and_grad(
        lambda x: jnp.sum(jax.checkpoint(lambda z: jnp.tanh(z * a) * n)(x))
    ),
    "trees": lambda a, n, _: lambda x: {"a": (x, a), "n": n, "none": None},
    "nothing": lambda a, *_: lambda _: a,
    "gradient": lambda a, n, _: jax.value_and_grad(
        lambda x: jnp.sum(clipped(looped(x, a))) * n
    ),
    "curvature": lambda a, n, _: (
        lambda x: jax.jvp(jax.grad(lambda y: jnp.sum(jnp.cos(y * a)) * n), (x,), (x,))[
            1
        ]
    ),
    "random": lambda a, *_: lambda x: x + jax.random.normal(jax.random.key(3)) * a,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.one_in(6)
def test_it_does_what_the_function_does(name: str) -> None:
    """Another closure of the same operations compiles nothing, and is itself."""
    for i, (a, n) in enumerate(((X, 0.7), (2 * X, -1.3), (jnp.ones(3), 1e-3))):
        function = KINDS[name](a, n, 5)
        expected, before = jax.jit(function)(X), problems.compiled()
        got = result(function)
        assert problems.compiled() - before == (i == 0)
        problems.assert_close(got, expected, rtol=1e-6)


OTHERS: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "operation": (jnp.sin, jnp.cos),
    "setting": (lambda x: jnp.sum(x, keepdims=True), lambda x: jnp.sum(x)[None] * 2),
    "order": (lambda x: x - X, lambda x: X - x),
    "whole number": (lambda x: x[jnp.int32(1)] + 1, lambda x: x[jnp.int32(2)] + 1),
    "power": (lambda x: x**2, lambda x: x**3),
    "branch": (
        lambda x: jax.lax.cond(x[0] > 0, lambda: x, lambda: -x),
        lambda x: jax.lax.cond(x[0] > 0, lambda: x * 2, lambda: -x),
    ),
    "number in a loop": tuple(
        lambda x, n=n: jax.lax.fori_loop(0, 3, lambda _, y: y * n, x)
        for n in (0.5, 2.0)
    ),
    "result": (lambda x: (x, x + 1), lambda x: {"a": x, "b": x + 1}),
    "which array": (lambda x: x + X + 0 * x, lambda x: x + x + 0 * X),
}


def test_what_is_recomputed_stays_so() -> None:
    """A gradient of a checkpoint is one with the barrier that saves its memory."""
    slope = jax.grad(lambda x: jnp.sum(jax.checkpoint(lambda z: jnp.sin(z * 0.3))(x)))
    with as_data(slope, X) as form:
        program = jax.jit(called).lower(form, X).as_text()
    assert program.count("optimization_barrier") == 1
    assert "optimization_barrier" in jax.jit(slope).lower(X).as_text()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.one_in(2)
def test_other_operations_are_another_function(name: str) -> None:
    """One function is never taken for another."""
    for function in OTHERS[name] * 2:
        problems.assert_close(result(function), jax.jit(function)(X), rtol=1e-6)


def test_other_shapes_are_another_program() -> None:
    """The operations may be traced again for arguments of other shapes."""
    for size in (2, 3, 2):
        x = jnp.arange(1.0, 1 + size)
        np.testing.assert_allclose(result(lambda x: jnp.sum(x) * 2, x), 2 * x.sum())


def test_in_float64() -> None:
    """Numbers in the code keep their digits where there are 64 bits."""
    with jax.enable_x64(True):  # noqa: FBT003
        x = jnp.float64([1.0, 2.0])
        assert result(lambda x: jnp.sum(x) * (1 / 3), x) == 1.0


def test_what_cannot_be_told_apart_stays_a_function() -> None:
    """Functions that print or call Python are handed on as they are."""

    def prints(x: Any) -> Any:
        jax.debug.print("{}", x)
        return x

    def calls(x: Any) -> Any:
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((3,), x.dtype), x)

    for function in (prints, calls):
        with as_data(function, X) as same:
            assert same is function


def test_what_is_traced_stays_a_function() -> None:
    """Within `jit` nothing is done, whether the argument or the closure is traced."""

    @jax.jit
    def step(y: Any) -> Any:
        for x in (X, y):
            with as_data(lambda x: x * y, x) as same:
                assert not isinstance(same, Function)
        return y

    step(X)


def test_a_search_whose_objective_calls_python() -> None:
    """It is not compiled as one, and finds the same step."""
    tx = gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(20))
    seen = []

    def told(x: Any) -> Any:
        jax.debug.callback(seen.append, jnp.sum(x))
        return 3 * jnp.sum(x**2)

    ends = []
    for height in (told, lambda x: 3 * jnp.sum(x**2)):
        extra = {"value": height(X), "grad": 6 * X, "value_fn": height}
        ends.append(tx.update(6 * X, tx.init(X), X, **extra)[0])
    jax.effects_barrier()
    problems.assert_close(*ends)
    assert len(seen) > 2
