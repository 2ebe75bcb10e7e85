"""A step compiled with donation and with what the compiler is asked for."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx.lowering import jit_step

SIZE = 1 << 12


def training(tx: Any) -> Callable[..., Any]:
    """Return a step of update and apply."""

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    return step


@pytest.mark.parametrize("name", ["lion", "adabelief"])
def test_nothing_of_the_size_of_the_parameters_is_made(name: str) -> None:
    """On a CPU a moment that is read and replaced in one step is not copied first.

    Plain `jax.jit` does copy it, or this test could not fail.
    """
    tx = getattr(gradtx, name)(1e-3)
    params = jax.ShapeDtypeStruct((SIZE,), jnp.float32)
    arguments = (params, jax.eval_shape(tx.init, params), params)
    plain = jax.jit(training(tx), donate_argnums=(0, 1))
    temporary = [
        jitted.lower(*arguments).compile().memory_analysis().temp_size_in_bytes
        for jitted in (gradtx.jit_step(training(tx)), plain)
    ]
    assert temporary[0] < SIZE <= temporary[1]


def test_steps_are_those_of_jit() -> None:
    """The option changes no number, and what was given is donated."""
    tx = gradtx.lion(0.1)
    ends = []
    for compiler in (gradtx.jit_step, jax.jit):
        step, params = compiler(training(tx)), problems.small_tree()
        state = tx.init(params)
        first = params
        for t in range(3):
            params, state = step(params, state, problems.noise(params, t))
        gone = [x.is_deleted() for x in jax.tree.leaves(first)]
        assert all(gone) if compiler is gradtx.jit_step else not any(gone)
        ends.append(params)
    problems.assert_close(*ends, rtol=0)


def test_it_is_compiled_once() -> None:
    """The second step compiles nothing."""
    tx = gradtx.lion(0.1)
    step, params = gradtx.jit_step(training(tx)), problems.small_tree()
    state = tx.init(params)
    params, state = step(params, state, problems.noise(params, 0))
    grads = problems.noise(params, 1)
    before = problems.compiled()
    step(params, state, grads)
    assert problems.compiled() == before


def test_within_another_program_the_options_of_that_hold() -> None:
    """A step may be taken inside `jit` and `scan`, which take no compiler options."""
    tx = gradtx.sgd(0.1)
    step = gradtx.jit_step(training(tx))

    def twice(params: Any, state: Any) -> Any:
        carry = (params, state)
        return jax.lax.scan(lambda c, _: (step(*c, c[0]), None), carry, length=2)[0]

    params, _ = jax.jit(twice)(jnp.ones(2), tx.init(jnp.ones(2)))
    np.testing.assert_allclose(params, 0.81, rtol=1e-6)


def test_options_of_jit_are_passed_on() -> None:
    """Static arguments, other donations and other compiler options are the caller's."""

    def step(state: Any, *, twice: bool) -> Any:
        return state * (2 if twice else 1)

    jitted = gradtx.jit_step(
        step,
        donate_argnums=(),
        static_argnames="twice",
        compiler_options={"xla_cpu_copy_insertion_use_region_analysis": False},
    )
    x = jnp.ones(2)
    assert jitted(x, twice=True)[0] == 2
    assert not x.is_deleted()
    assert jitted.trace(x, twice=True).jaxpr is not None
    assert jitted.__name__ == "step"


def test_it_decorates_methods() -> None:
    """A method's step is given its object first, and each object has its own."""

    class Trainer:
        def __init__(self, tx: Any) -> None:
            self.tx = tx

        @partial(gradtx.jit_step, static_argnums=0, donate_argnums=(1, 2))
        def step(self, params: Any, state: Any, grads: Any) -> Any:
            """Take a step."""
            updates, state = self.tx.update(grads, state, params)
            return gradtx.apply_updates(params, updates), state

    for rate in (0.5, 0.25):
        trainer, params = Trainer(gradtx.sgd(rate)), jnp.ones(2)
        state, grads = trainer.tx.init(params), jnp.ones(2)
        assert trainer.step.lower(params, state, grads).compile() is not None
        assert trainer.step.trace(params, state, grads).jaxpr is not None
        new, _ = trainer.step(params, state, grads)
        np.testing.assert_allclose(new, 1 - rate)
        assert params.is_deleted()
        assert not grads.is_deleted()
        assert trainer.step.__doc__ == "Take a step."
    assert Trainer.step.__name__ == "step"


def test_unknown_options_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler of another version is asked only for what it knows."""
    option = {"xla_cpu_copy_insertion_use_region_analysis": True}
    asked = {"cpu": {"xla_no_such_option": True, **option}}
    monkeypatch.setattr(jit_step, "HELPFUL", asked)
    assert jit_step.known_options.__wrapped__("cpu") == option
    assert jit_step.known_options.__wrapped__("tpu") == {}
