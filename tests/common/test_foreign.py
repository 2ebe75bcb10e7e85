"""For optax and for those who ask for its classes, ours are its own."""

import copy
import functools
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from gradtx import contrib

PARAMS = {"w": jnp.float32([1, -2]), "b": jnp.float32([3])}


def init(params: Any) -> Any:
    """Make no state."""
    del params
    return ()


def update(updates: Any, state: Any, params: Any = None) -> Any:
    """Pass the updates on."""
    del params
    return updates, state


MADE: dict[str, Callable[[], Any]] = {
    "value": lambda: gradtx.adam(0.1),
    "by hand": lambda: gradtx.GradientTransformation(init, update),
    "MultiSteps": lambda: gradtx.MultiSteps(gradtx.adam(0.1), 2),
}
every_kind = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


@every_kind
def test_it_is_an_instance_of_optax_s_classes(make: Callable[[], Any]) -> None:
    """Of both of optax's and of ours; the type, and what goes by it, is ours."""
    tx = make()
    assert isinstance(tx, optax.GradientTransformation)
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    assert isinstance(tx, gradtx.GradientTransformation)
    assert type(tx).__module__.startswith("gradtx")
    assert not isinstance(tx, optax.MaskedState)
    for other in (
        copy.copy(tx),
        copy.deepcopy(tx),
        jax.tree.map(lambda x: x, tx),
        *[pickle.loads(pickle.dumps(tx, protocol)) for protocol in (2, 5)],  # noqa: S301
    ):
        assert type(other) is type(tx)
        assert other == tx
        assert hash(other) == hash(tx)
    assert type(tx._replace(init=init)) is type(tx)


def test_it_prints_as_our_class() -> None:
    """A pair made by hand names the class that it is of."""
    by_hand = MADE["by hand"]()
    assert repr(by_hand) == f"GradientTransformation(init={init}, update={update})"


def test_dispatch_by_class_takes_it_for_optax_s() -> None:
    """What other libraries register for optax's class is found for ours."""
    asked = functools.singledispatch(lambda _: "unknown")
    asked.register(optax.GradientTransformation, lambda _: "optax")
    assert asked(gradtx.sgd(0.1)) == "optax"


def test_optax_is_not_imported() -> None:
    """Without optax ours is nothing but our own, and becomes optax's when it is."""
    program = (
        "import sys, gradtx; tx = gradtx.sgd(0.1); assert 'optax' not in sys.modules;"
        "assert tx.__class__ is gradtx.GradientTransformation;"
        "import optax; assert isinstance(tx, optax.GradientTransformation)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "chain": optax.chain,
    "named_chain": lambda tx: optax.named_chain(("a", tx)),
    "masked": lambda tx: optax.masked(tx, {"w": True, "b": True}),
    "partition": lambda tx: optax.partition({"a": tx}, {"w": "a", "b": "a"}),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 2),
    "conditionally_transform": lambda tx: optax.conditionally_transform(
        tx, lambda _: True
    ),
    "flatten": optax.flatten,
    "with_extra_args_support": optax.with_extra_args_support,
    "inject_hyperparams": lambda tx: optax.inject_hyperparams(lambda _: tx)(0.1),
    "chain of chains": lambda tx: optax.chain(gradtx.chain(optax.chain(tx))),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.one_in(2)
def test_what_wraps_it_gives_it_extra_arguments(wrap: Callable[[Any], Any]) -> None:
    """The loss comes through every wrapper of optax's: the plateau halves the step."""
    tx = wrap(contrib.reduce_on_plateau(factor=0.5, patience=1))
    state = tx.init(PARAMS)
    for _ in range(2):
        updates, state = tx.update(PARAMS, state, PARAMS, value=jnp.float32(1))
    for u, p in zip(jax.tree.leaves(updates), jax.tree.leaves(PARAMS), strict=True):
        assert (u == 0.5 * p).all()


def test_a_line_search_within_optax_s_chain() -> None:
    """All extra arguments of a search come through, beside links without any."""
    tx = optax.chain(optax.scale(1.0), gradtx.lbfgs())

    def height(params: Any) -> Any:
        return gradtx.tree.norm(params, squared=True)

    value, grads = jax.value_and_grad(height)(PARAMS)
    updates, _ = tx.update(
        grads, tx.init(PARAMS), PARAMS, value=value, grad=grads, value_fn=height
    )
    assert height(optax.apply_updates(PARAMS, updates)) < value
