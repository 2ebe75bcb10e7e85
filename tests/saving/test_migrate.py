"""A state carried from one optimizer to another, by what its slots are."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx import tree

ADAM = gradtx.adam(0.1)
PARAMS = {"b": jnp.float32([1, -2]), "embed": {"w": jnp.ones((64, 64))}}


def after(tx: Any, params: Any = PARAMS, steps: int = 3) -> Any:
    """Return the state after some steps, with random gradients."""
    state = tx.init(params)
    for i in range(steps):
        _, state = tx.update(problems.noise(params, i), state, params)
    return state


def same(got: Any, expected: Any, *names: str, rtol: float = 1e-6) -> None:
    """Compare slots of two states by name."""
    for name in names:
        problems.assert_close(tree.get(got, name), tree.get(expected, name), rtol=rtol)


@pytest.mark.parametrize(
    "new",
    [
        gradtx.chain(gradtx.clip_by_global_norm(1.0), ADAM),
        gradtx.adam(gradtx.linear_schedule(0.1, 0.0, 10)),
        gradtx.lookahead(ADAM, 5, 0.5),
        gradtx.inject_hyperparams(gradtx.adam)(0.1),
        gradtx.by_path({"b": ADAM.replace(learning_rate=0.2)}, default=ADAM),
        gradtx.accumulate(ADAM, 2),
        gradtx.apply_if_finite(ADAM, 3),
    ],
    ids=["clip", "schedule", "lookahead", "inject", "groups", "accumulate", "finite"],
)
@pytest.mark.one_in(6)
def test_means_are_carried(new: Any) -> None:
    """Wherever they stand in the new state; it takes a step, and nothing is dropped."""
    old = after(ADAM)
    state, changes = gradtx.migrate(ADAM, old, new, PARAMS, strict=True)
    assert "ScaleByAdamState.mu" in changes.carried
    assert not changes.dropped
    merged = [jax.tree.leaves(tree.get_all_with_path(state, n)) for n in ("mu", "nu")]
    for got, name in zip(merged, ("mu", "nu"), strict=True):
        expected = jax.tree.leaves(tree.get(old, name))
        arrays = [x for x in got if isinstance(x, jax.Array)]
        for x in expected:
            assert any(problems.same(x, y) for y in arrays if x.shape == y.shape)
    assert all(
        x == 3 for path, x in tree.get_all_with_path(state, "ScaleByAdamState.count")
    )
    assert problems.shapes(state) == problems.shapes(new.init(PARAMS))
    new.update(PARAMS, state, PARAMS)


def test_a_run_goes_on_as_if_nothing_were_changed() -> None:
    """With a clip that never clips the steps are those of the old optimizer."""
    tx = gradtx.chain(gradtx.clip_by_global_norm(1e9), gradtx.adam(0.1))
    old = after(ADAM)
    state, _ = gradtx.migrate(ADAM, old, tx, PARAMS)
    got, _ = tx.update(PARAMS, state, PARAMS)
    expected, _ = ADAM.update(PARAMS, old, PARAMS)
    problems.assert_close(got, expected)


MIXED = {**PARAMS, "h": jnp.ones((2, 3), jnp.bfloat16), "s": jnp.float32(3)}
SOME = {"b": True, "embed": {"w": False}, "h": True, "s": False}


@pytest.mark.parametrize(
    "new",
    [
        gradtx.pack_small_leaves(ADAM, 100),  # embed is by itself
        gradtx.by_path({"embed": ADAM}, default=gradtx.pack_small_leaves(ADAM)),
        gradtx.flatten(ADAM),
        gradtx.chain(gradtx.clip_by_global_norm(1e9), gradtx.flatten(ADAM)),
        gradtx.by_path({"embed": ADAM}, default=gradtx.flatten(ADAM)),
        gradtx.by_path({"b": gradtx.flatten(ADAM)}, default=gradtx.flatten(ADAM)),
        gradtx.chain(
            gradtx.masked(gradtx.flatten(ADAM), SOME),
            gradtx.masked(ADAM, jax.tree.map(lambda x: not x, SOME)),
        ),
    ],
    ids=[
        *("packed", "packed group", "flat", "flat within"),
        *("flat group", "flat groups", "flat mask"),
    ],
)
@pytest.mark.one_in(2)
def test_into_vectors_and_back(new: Any) -> None:
    """A run that goes on in vectors, and then by leaf again, is the unbroken one."""
    state, params, unbroken = ADAM.init(MIXED), MIXED, (MIXED, ADAM.init(MIXED))
    for i, tx in enumerate([ADAM, new, ADAM]):
        if i:
            old = ADAM if tx is new else new
            state, told = gradtx.migrate(old, state, tx, params, strict=True)
            assert not told.made
        for j in (2 * i, 2 * i + 1):
            grads = problems.noise(MIXED, j)
            updates, state = tx.update(grads, state, params)
            params = gradtx.apply_updates(params, updates)
            updates, kept = ADAM.update(grads, unbroken[1], unbroken[0])
            unbroken = gradtx.apply_updates(unbroken[0], updates), kept
    found = jax.tree.map(problems.same, (params, state), unbroken)
    assert jax.tree.all(found), found


def test_a_schedule_starts_from_the_steps_that_were_taken() -> None:
    """It has no state before; the steps are counted by the others."""
    tx = gradtx.adam(gradtx.linear_schedule(0.1, 0.0, 10))
    state, changes = gradtx.migrate(ADAM, after(ADAM), tx, PARAMS)
    assert tree.get(state, "ScaleByScheduleState.count") == 3
    assert not changes.made


def test_eight_bits_and_back() -> None:
    """Arrays are encoded, and decoded, to their rounding."""
    plain, quantized = gradtx.adamw(0.1), gradtx.adamw8bit(0.1)
    old = after(plain)
    there, changes = gradtx.migrate(plain, old, quantized, PARAMS, strict=True)
    assert problems.shapes(there) == problems.shapes(quantized.init(PARAMS))
    assert changes.made == ("QuantizedState.roundings",)
    back, _ = gradtx.migrate(quantized, there, plain, PARAMS, strict=True)
    same(back, old, "mu", "nu", rtol=0.05)
    same(back, old, "count")
    assert (tree.get(back, "nu")["embed"]["w"] > 0).all()


@pytest.mark.parametrize("old", [optax.adamw(0.1), gradtx.adamw(0.1)])
def test_optax_s_state(old: Any) -> None:
    """Optax's state of the same call goes on, with either named as the old one."""
    theirs = after(optax.adamw(0.1))
    state, changes = gradtx.migrate(old, theirs, gradtx.adamw(0.1), PARAMS, strict=True)
    assert not changes.made
    same(state, theirs, "mu", "nu", "count")
    assert type(state[0]) is gradtx.ScaleByAdamState


def test_unfreezing() -> None:
    """What was frozen starts anew with a count of its own; the others go on."""
    old = gradtx.by_path({"embed": None}, default=ADAM)
    new = gradtx.by_path({"embed": ADAM.replace(b1=0.8)}, default=ADAM)
    before = after(old)
    state, changes = gradtx.migrate(old, before, new, PARAMS)
    rest = [x.inner_states["default"].inner_state[0] for x in (state, before)]
    problems.assert_close(*rest)
    fresh = state.inner_states["embed"].inner_state[0]
    assert fresh.count == 0
    assert not fresh.mu["embed"]["w"].any()
    assert "ScaleByAdamState.mu of b" in changes.carried
    assert "ScaleByAdamState.mu of embed/w" in changes.made


def test_two_of_a_kind_keep_their_order() -> None:
    """Two momenta in one chain: the first stays the first, with a clip before them."""
    pair = [gradtx.trace(0.9), gradtx.trace(0.5)]
    old = gradtx.chain(*pair)
    before = after(old)
    new = gradtx.chain(gradtx.clip_by_global_norm(1.0), *pair)
    state, _ = gradtx.migrate(old, before, new, PARAMS, strict=True)
    problems.assert_close(state[1:], before)


def test_settings_in_the_state() -> None:
    """One that was changed by hand stays; one that the new optimizer changes is its."""
    inject = gradtx.inject_hyperparams(gradtx.adam)
    old = inject(0.1, b1=0.9)
    before = tree.set(after(old), learning_rate=0.05)
    state, changes = gradtx.migrate(old, before, inject(0.1, b1=0.8), PARAMS)
    np.testing.assert_allclose(state.hyperparams["learning_rate"], 0.05)
    np.testing.assert_allclose(state.hyperparams["b1"], 0.8)
    assert changes.made == ("InjectStatefulHyperparamsState.hyperparams/b1",)


def test_a_renamed_slot() -> None:
    """The mean of Lion is taken from Adam, where one says so."""
    new = gradtx.lion(0.1)
    old = after(ADAM)
    names = {"ScaleByLionState.mu": "ScaleByAdamState.mu"}
    state, changes = gradtx.migrate(ADAM, old, new, PARAMS, renamed=names)
    same(state, old, "mu")
    assert changes.dropped == ("ScaleByAdamState.nu",)
    assert repr(changes).splitlines()[-1] == "dropped: ScaleByAdamState.nu"
    state, _ = gradtx.migrate(ADAM, old, new, PARAMS)
    assert not any(x.any() for x in jax.tree.leaves(tree.get(state, "mu")))
    wrong = {"ScaleByLionState.mu": "ScaleByAdamState.m"}
    with pytest.raises(ValueError, match=r"no slot 'ScaleByAdamState.m'.*\.mu'"):
        gradtx.migrate(ADAM, old, new, PARAMS, renamed=wrong)


def test_a_leaf_of_another_shape_starts_anew() -> None:
    """As after a last layer was exchanged: the state that no longer fits is refused."""
    other = {**PARAMS, "b": jnp.ones(3)}
    with pytest.raises(ValueError, match=r"shape \(2,\).*\(3,\)"):
        gradtx.migrate(ADAM, after(ADAM), ADAM, other)


def test_equinox() -> None:
    """Parameters that are a module are found by their paths."""
    mlp = eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0))
    params = eqx.filter(mlp, eqx.is_inexact_array)
    old = after(ADAM, params)
    new = gradtx.by_path({"**/bias": gradtx.adam(0.2)}, default=gradtx.adam(0.3))
    state, changes = gradtx.migrate(ADAM, old, new, params, strict=True)
    assert not changes.made
    bias = state.inner_states["**/bias"].inner_state[0].mu.layers[0].bias
    assert problems.same(bias, old[0].mu.layers[0].bias)


def test_what_would_be_lost_is_refused_if_strict() -> None:
    """All that has no place is named."""
    with pytest.raises(ValueError, match=r"no place for.*AdamState\.mu"):
        gradtx.migrate(ADAM, after(ADAM), gradtx.sgd(0.1), PARAMS, strict=True)


def test_a_state_of_another_optimizer_is_refused() -> None:
    """By name of both, by `migrate` and by `update`."""
    state = gradtx.lion(0.1).init(PARAMS)
    both = "ScaleByLionState.*ScaleByAdamState"
    with pytest.raises(ValueError, match=both):
        gradtx.migrate(ADAM, state, ADAM, PARAMS)
    with pytest.raises(ValueError, match=both):
        ADAM.update(PARAMS, state, PARAMS)
    with pytest.raises(
        ValueError, match=r"adamw8bit.*ScaleByAdamState.*QuantizedState"
    ):
        gradtx.adamw8bit(0.1).update(PARAMS, gradtx.adamw(0.1).init(PARAMS), PARAMS)


@pytest.mark.parametrize(
    "wrong",
    [
        gradtx.partition({"a": ADAM}, {"b": "a", "embed": "a"}),
        gradtx.masked(ADAM, {"b": True, "embed": False}),
    ],
)
def test_labels_and_masks_as_trees_do_not_hide_whose_state_it_is(wrong: Any) -> None:
    """Both states are named, also where a tree of labels or flags is given."""
    with pytest.raises(ValueError, match=r"a tuple of \(ScaleByAdamState.*State\b"):
        wrong.update(PARAMS, ADAM.init(PARAMS), PARAMS)


def test_other_groups_are_told() -> None:
    """By the labels of both, where the classes of the states are the same."""
    old, new = (gradtx.by_path({name: None}, default=ADAM) for name in PARAMS)
    with pytest.raises(ValueError, match=r"State of 'b', .*State of 'embed', 'def"):
        new.update(PARAMS, old.init(PARAMS), PARAMS)


def test_within_jit_it_is_refused() -> None:
    """As numbers are read."""
    state = ADAM.init(PARAMS)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda s: gradtx.migrate(ADAM, s, ADAM, PARAMS)[0])(state)
