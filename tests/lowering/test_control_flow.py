"""Loops and conditionals within shard_map, where JAX wants both ends to vary alike."""

import ast
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import gradtx
from gradtx.lowering.conditional import cond_inplace
from gradtx.lowering.control_flow import (
    cond,
    either,
    fori_loop,
    platform_dependent,
    scan,
    while_loop,
)
from gradtx.lowering.varying import varying_axes

WITHIN = {
    "while_loop": lambda x: while_loop(
        lambda c: c[1] < 3, lambda c: (c[0] + x, c[1] + 1), (jnp.zeros(()), 0)
    ),
    "a chain of carries": lambda x: fori_loop(
        0, 3, lambda _, c: (c[1], c[2], c[2] + x), (jnp.zeros(()),) * 3
    ),
    "scan": lambda x: scan(lambda c, y: (c + x * y, c), jnp.zeros(()), jnp.arange(3.0)),
    "cond": lambda x: cond(x > 0, lambda y: y, jnp.zeros_like, x),
    "platform_dependent": lambda x: platform_dependent(
        x, cpu=lambda y: y + 1, default=lambda _: jnp.ones(())
    ),
    "cond_inplace": lambda x: cond_inplace(x > 0, lambda n: n + 1, jnp.zeros(())),
    "the derivative": lambda x: jax.grad(
        lambda y: cond_inplace(x > 0, lambda z: z * y, jnp.ones(()))
    )(x),
}


@pytest.mark.parametrize("case", WITHIN.values(), ids=WITHIN)
def test_results_are_those_of_each_device(case: Any) -> None:
    """What starts from constants ends in values that vary, and the type says so."""
    over = jax.make_mesh((2,), ("d",), (AxisType.Auto,), devices=jax.devices()[:2])

    def local(x: Any) -> Any:
        return jax.tree.map(lambda y: jnp.asarray(y)[None], case(x[0]))

    x = jnp.float32([-1, 2])
    alone = [case(y) for y in x]
    mapped = jax.shard_map(local, mesh=over, in_specs=P("d"), out_specs=P("d"))
    got = jax.jit(mapped)(x)
    expected = jax.tree.map(lambda *y: jnp.stack([jnp.asarray(z) for z in y]), *alone)
    jax.tree.map(np.testing.assert_allclose, got, expected)


def test_what_hangs_on_a_varying_condition_varies() -> None:
    """Constants chosen by a value of each device's own are not the same everywhere."""
    over = jax.make_mesh((2,), ("d",), (AxisType.Auto,), devices=jax.devices()[:2])

    def local(x: Any) -> Any:
        one, two = jnp.ones(()), jnp.full((), 2.0)
        made = [
            cond(x[0] > 0, lambda: one, lambda: two),
            cond_inplace(x[0] > 0, lambda _: one, two),
            while_loop(lambda n: n < x[0], lambda n: n + 1, one),
        ]
        assert all(varying_axes(y) == {"d"} for y in made)
        assert not varying_axes(cond(one > 0, lambda: one, lambda: two))
        return x

    jax.shard_map(local, mesh=over, in_specs=P("d"), out_specs=P("d"))(jnp.ones(2))


def test_either_runs_one() -> None:
    """Of two functions one runs; a traced condition is decided on the device."""
    ran = []

    def say(word: str, value: float) -> Any:
        return lambda: (ran.append(word), jnp.float32(value))[1]

    assert either(jnp.array(1) > 0, say("yes", 1), say("no", 2)) == 1
    assert ran == ["yes"]
    choose = jax.jit(lambda x: either(x > 0, say("yes", 1), say("no", 2)))
    assert (choose(1), choose(-1)) == (1, 2)


def test_control_flow_is_taken_from_here() -> None:
    """No other module uses JAX's own, which would refuse values that vary.

    But for whole training loops, which stand around transformations.
    """
    loops = {"compare", "testing"}
    names = {"while_loop", "fori_loop", "scan", "cond", "switch", "map"}
    names |= {"platform_dependent", "associative_scan"}
    package = Path(gradtx.__file__).parent
    for path in package.rglob("*.py"):
        within = path.relative_to(package)
        if within.as_posix() == "lowering/control_flow.py" or within.parts[0] in loops:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in names:
                assert ast.unparse(node.value) != "jax.lax", f"{path}: {node.attr}"
