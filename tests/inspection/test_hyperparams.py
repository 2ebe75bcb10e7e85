"""What a transformation is set to now: through every composition, also within jit."""

from collections.abc import Callable
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx import contrib

STEPS = 4
RATE = gradtx.linear_schedule(1.0, 0.0, 10)  # 1 - t / 10
AFTER = 0.6
PARTS = {"w": "fast", "b": "slow"}


def schedule(count: Any) -> Any:
    """Return the same, as a function that remembers nothing."""
    return 1 - count / 10


@gradtx.transformation
def homemade() -> gradtx.GradientTransformation:
    """Return a composition that is given no settings."""
    return gradtx.chain(gradtx.clip(0.5), gradtx.sgd(RATE))


# A composition, where its rate is found, and what that is after the steps.
COMPOSED: dict[str, tuple[Callable[[], Any], str, float]] = {
    "alone": (lambda: gradtx.adamw(RATE), "learning_rate", AFTER),
    "function": (lambda: gradtx.adamw(schedule), "learning_rate", AFTER),
    "constant": (lambda: gradtx.adamw(0.25), "learning_rate", 0.25),
    "homemade": (homemade, "sgd/learning_rate", AFTER),
    "chain": (
        lambda: gradtx.chain(gradtx.clip(1.0), gradtx.adam(RATE)),
        "adam/learning_rate",
        AFTER,
    ),
    "named_chain": (
        lambda: gradtx.named_chain(("first", gradtx.clip(1.0)), ("then", homemade())),
        "then/sgd/learning_rate",
        AFTER,
    ),
    "links": (
        lambda: gradtx.chain(
            gradtx.scale_by_adam(),
            gradtx.add_decayed_weights(
                0.1, kind="corrected", learning_rate=RATE, peak_learning_rate=1.0
            ),
            gradtx.scale_by_learning_rate(RATE),
        ),
        "scale_by_learning_rate/learning_rate",
        AFTER,
    ),
    "accumulate": (
        lambda: gradtx.accumulate(gradtx.sgd(RATE), 2),
        "opt/learning_rate",
        0.8,
    ),
    "lookahead": (
        lambda: gradtx.lookahead(gradtx.sgd(RATE), 2, 0.5),
        "fast_optimizer/learning_rate",
        AFTER,
    ),
    "injected": (
        lambda: gradtx.inject_hyperparams(gradtx.adamw)(RATE),
        "learning_rate",
        AFTER,
    ),
    "foreign": (
        lambda: gradtx.inject_hyperparams(optax.sgd)(schedule),
        "learning_rate",
        AFTER,
    ),
    "masked": (
        lambda: gradtx.masked(gradtx.adam(RATE), {"w": True, "b": False}),
        "inner/learning_rate",
        AFTER,
    ),
    "partition": (
        lambda: gradtx.partition(
            {"fast": gradtx.sgd(RATE), "slow": gradtx.set_to_zero()}, PARTS
        ),
        "fast/learning_rate",
        AFTER,
    ),
    "quantized": (
        lambda: gradtx.quantize_state(gradtx.adamw(RATE), min_size=1),
        "tx/learning_rate",
        AFTER,
    ),
    "looked into": (
        lambda: gradtx.spike_aware_reset(gradtx.adam(RATE)),
        "inner/learning_rate",
        AFTER,
    ),
    "muon": (lambda: contrib.muon(RATE), "learning_rate", AFTER),
}


def stepped(tx: Any, steps: int = STEPS) -> Any:
    """Return the state after a few steps."""
    params = problems.small_tree()
    state = tx.init(params)
    update = jax.jit(tx.update)
    for seed in range(steps):
        _, state = update(problems.noise(params, seed), state, params)
    return state


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.one_in(6)
def test_the_rate_of_the_next_step(name: str) -> None:
    """A schedule is read at the count of its own part, by name and place."""
    make, address, expected = COMPOSED[name]
    tx = make()
    state = stepped(tx)
    found = gradtx.hyperparams(tx, state)
    assert found[address] == pytest.approx(expected)
    assert gradtx.learning_rate(tx, state) == pytest.approx(expected)
    within = jax.jit(lambda state: gradtx.hyperparams(tx, state))(state)
    assert within.keys() == found.keys()
    for key, x in within.items():
        np.testing.assert_allclose(x, found[key], rtol=1e-6, err_msg=key)


@pytest.mark.parametrize("make", [gradtx.sgd, gradtx.inject_hyperparams(gradtx.sgd)])
def test_the_rate_is_what_the_next_step_uses(make: Any) -> None:
    """On a gradient of ones, plain descent moves by the rate that was read before."""
    params, tx = problems.small_tree(), make(RATE)
    state = stepped(tx, 3)
    rate = gradtx.learning_rate(tx, state)
    updates, _ = tx.update(problems.filled(params, 1.0), state, params)
    problems.assert_close(updates, problems.filled(params, -rate))


def test_every_setting_that_is_a_number() -> None:
    """All numbers are there, with the others by position; no flags, names or None."""
    tx = gradtx.chain(
        gradtx.scale(2.0),
        gradtx.clip_by_global_norm(1.0),
        gradtx.scale(3.0),
        gradtx.adamw(RATE, b1=0.8, weight_decay=RATE),
    )
    got = gradtx.hyperparams(tx, stepped(tx))
    assert got == {
        "scale[0]/step_size": 2.0,
        "clip_by_global_norm/max_norm": 1.0,
        "scale[2]/step_size": 3.0,
        "adamw/learning_rate": pytest.approx(AFTER),
        "adamw/b1": 0.8,
        "adamw/b2": 0.999,
        "adamw/eps": 1e-8,
        "adamw/eps_root": 0.0,
        "adamw/weight_decay": pytest.approx(AFTER),
    }


def test_what_was_changed_by_hand() -> None:
    """A number in the state counts, and not what the factory was given."""
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.inject_hyperparams(gradtx.adam)(0.1))
    state = gradtx.tree.set(stepped(tx), learning_rate=0.5)
    assert gradtx.learning_rate(tx, state) == 0.5


def test_how_many_steps_are_accumulated() -> None:
    """A schedule of k is read at the number of real steps: after 1 + 2, k is 3."""
    tx = gradtx.accumulate(gradtx.sgd(RATE), lambda step: step + 1)
    got = gradtx.hyperparams(tx, stepped(tx))
    assert got["every_k_schedule"] == 3


def test_traced_settings() -> None:
    """A transformation that comes into jit as an argument is read as any other."""

    @jax.jit
    def read(tx: Any, state: Any) -> Any:
        return gradtx.hyperparams(tx, state)

    tx = gradtx.adam(RATE, b1=jnp.float32(0.5))
    got = read(tx, stepped(tx))
    assert got["learning_rate"] == pytest.approx(AFTER)
    assert got["b1"] == 0.5


def test_several_rates_are_not_one() -> None:
    """Parts with rates of their own are named; one schedule twice is one rate."""
    parts: dict[Any, Any] = {"fast": gradtx.sgd(RATE), "slow": gradtx.adam(0.1)}
    tx = gradtx.partition(parts, PARTS)
    with pytest.raises(ValueError, match=r"'fast/learning_rate', 'slow/learning_rate'"):
        gradtx.learning_rate(tx, stepped(tx))
    alike = gradtx.partition({**parts, "slow": gradtx.adam(RATE)}, PARTS)
    assert gradtx.learning_rate(alike, stepped(alike)) == pytest.approx(AFTER)


def test_what_cannot_be_known() -> None:
    """A pair made by hand, no rate at all, and the state of another are refused."""
    adam, params = gradtx.adam(0.1), problems.small_tree()
    by_hand = gradtx.GradientTransformation(adam.init, adam.update)
    with pytest.raises(ValueError, match=r"gradtx\.transformation around"):
        gradtx.hyperparams(by_hand, by_hand.init(params))
    with pytest.raises(ValueError, match="no part of scale has"):
        gradtx.learning_rate(gradtx.scale(1.0), gradtx.scale(1.0).init(params))
    with pytest.raises(ValueError, match="not one of this transformation"):
        gradtx.hyperparams(gradtx.lookahead(adam, 2, 0.5), adam.init(params))
    with pytest.raises(ValueError, match="no count"):
        gradtx.hyperparams(gradtx.sgd(RATE), gradtx.sgd(0.1).init(params))


RATED = [
    row.name
    for row in catalogue.ROWS
    if "learning_rate" in row.build().recipe.arguments
]


@pytest.mark.parametrize("name", RATED)
def test_every_method_tells_its_rate(name: str) -> None:
    """The rate that was given is read from a state of shapes, for each method."""
    tx = catalogue.row(name).build()
    state = tx.init(jax.eval_shape(problems.small_tree))
    given = tx.recipe.arguments["learning_rate"]
    if not callable(given) and given is not None:
        assert gradtx.learning_rate(tx, state) == given
