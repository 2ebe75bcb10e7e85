"""The contract as a function: what keeps it passes, what breaks it is told in words."""

from typing import Any, NamedTuple

import catalogue
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import testing

PARAMS = {"b": jnp.float32([1, -2]), "h": jnp.ones(3, jnp.bfloat16)}


class State(NamedTuple):
    """What the transformations below remember."""

    x: Any


def of(update: Any, start: Any = lambda p: jax.tree.map(jnp.zeros_like, p)) -> Any:
    """Make a pair by hand."""
    return gradtx.GradientTransformation(
        lambda p: State(start(p)), lambda g, s, _=None, **__: update(g, s)
    )


def mapped(f: Any, g: Any, *rest: Any) -> Any:
    """Apply a function to all leaves."""
    return jax.tree.map(f, g, *rest)


CALLS: list[int] = []


def impure(g: Any, s: State) -> Any:
    """Depend on how often it was called."""
    CALLS.append(1)
    return mapped(lambda x: x * len(CALLS), g), s


BROKEN = {
    "structure": of(lambda g, s: (mapped(lambda x: x.astype(jnp.float32), g), s)),
    "state": of(lambda g, s: (g, State(mapped(lambda x: x.astype(jnp.float32), s.x)))),
    "pytree": of(lambda g, s: (g, s), lambda _: "adam"),
    "pure": of(impure),
    "jit": of(
        lambda g, s: (
            mapped(lambda x: x * (1 + isinstance(x, jax.core.Tracer)), g),
            s,
        )
    ),
    "shapes": of(
        lambda g, s: (g, s),
        lambda p: jnp.float32(float(sum(x.sum() for x in jax.tree.leaves(p)))),
    ),
    "zero": of(lambda g, s: (mapped(lambda x: x / jnp.abs(x), g), s)),
    "none": of(
        lambda g, s: ({k: jnp.zeros(2) if x is None else x for k, x in g.items()}, s)
    ),
}


@pytest.mark.parametrize("law", BROKEN)
@pytest.mark.one_in(2)
def test_a_broken_law_is_told(law: str) -> None:
    """By its name, with the leaf and the input."""
    with pytest.raises(testing.BrokenLaw, match=rf"(?s)^{law}: .*the first gradients"):
        testing.check(BROKEN[law], PARAMS)


def test_a_second_program_is_told() -> None:
    """As of a state that is weakly typed at first."""
    weak = of(lambda g, s: (g, State(jnp.float32(s.x))), lambda _: jnp.asarray(1.0))
    with pytest.raises(testing.BrokenLaw, match=r"(?s)^one program: .*2 times.*weakly"):
        testing.check(weak, PARAMS)


@pytest.mark.parametrize("name", ["sgd", "adam", "muon"])
@pytest.mark.one_in(6)
def test_what_keeps_the_contract_passes(name: str) -> None:
    """Methods of this library do, on leaves of several types; all laws are checked."""
    tx = gradtx.get(name, learning_rate=0.1)
    params = {**PARAMS, "w": np.ones((2, 3), np.float32), "n": None}
    assert len(testing.check(tx, params)) == 10


def test_extra_arguments_and_gradients_are_given() -> None:
    """For a method that asks for the loss, and gradients of one's own."""
    row = catalogue.row("polyak_sgd")
    testing.check(
        row.build(),
        {"w": jnp.ones(2)},
        gradients=lambda i: {"w": jnp.float32([1.0, i])},
        extra=lambda g, _: {"value": jnp.float32(1.0), "grad": g},
    )


def test_modules() -> None:
    """Parameters may be a module of Equinox."""
    mlp = eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0))
    testing.check(gradtx.adam(0.1), eqx.filter(mlp, eqx.is_inexact_array))


def test_a_law_that_there_is_not_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(
        ValueError, match="no law 'jitt'; there are pytree, structure, "
    ):
        testing.check(gradtx.sgd(0.1), PARAMS, leave_out=("jitt",))
