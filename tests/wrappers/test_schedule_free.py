"""Schedule-Free: the average is the paper's, and is found wherever it lies."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from methods import wrappers as papers

import gradtx

SETTINGS = [
    (gradtx.schedule_free_sgd, {"learning_rate": 0.3, "weight_decay": 0.1}),
    (gradtx.schedule_free_sgd, {"learning_rate": 0.3, "warmup_steps": 3}),
    (gradtx.schedule_free_adamw, {"learning_rate": 0.1, "b2": 0.9}),
    (gradtx.schedule_free_adamw, {"learning_rate": 0.1, "b2": 0.9, "b1": 1.0}),
]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("make", "settings"), SETTINGS)
@pytest.mark.one_in(2)
def test_the_average_is_that_of_the_paper(make: Any, settings: Any) -> None:
    """The weights to evaluate with are x after every step."""
    rng = np.random.default_rng(0)
    p0, grads = rng.normal(size=5), rng.normal(size=(6, 5))
    tx, params = make(**settings), jnp.asarray(p0)
    state, path = tx.init(params), []
    for g in grads:
        updates, state = jax.jit(tx.update)(jnp.asarray(g), state, params)
        params = gradtx.apply_updates(params, updates)
        path.append(gradtx.eval_params(state, params))
    factory = papers.schedule_free.factory
    step, x, expected = factory(**settings, evaluate=True), p0, []
    for t, g in enumerate(grads, 1):
        x = step(t, g, x)
        expected.append(x)
    np.testing.assert_allclose(path, expected, rtol=1e-9, atol=1e-12)


def test_the_first_rate_of_a_schedule_is_used() -> None:
    """The wrapper and its base optimizer see the same steps, from 0 on."""
    seen = []

    def rate(count: Any) -> Any:
        jax.debug.callback(lambda count: seen.append(int(count)), count)
        return 0.1

    tx = gradtx.schedule_free(gradtx.sgd(rate), rate)
    params = jnp.ones(2)
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(params, state, params)
    jax.effects_barrier()
    assert sorted(seen) == [0, 0, 1, 1]


def test_a_rate_of_zero_moves_nothing() -> None:
    """Neither NaN nor a step comes of weights that are all zero."""
    tx = gradtx.schedule_free(gradtx.sgd(0.0), 0.0)
    params = jnp.float32([1, 2])
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(params, state, params)
        np.testing.assert_array_equal(updates, [0, 0])
    np.testing.assert_array_equal(gradtx.eval_params(state, params), params)


NESTS = {
    "chain": lambda tx: gradtx.chain(gradtx.clip_by_global_norm(100.0), tx),
    "accumulate": lambda tx: gradtx.MultiSteps(tx, 1),
    "partition": lambda tx: gradtx.partition(
        {"a": tx, "z": gradtx.set_to_zero()}, {"w": "a", "b": "z"}
    ),
    "inject": lambda tx: gradtx.inject_hyperparams(lambda unused: tx)(0.0),  # noqa: ARG005
    "finite": lambda tx: gradtx.apply_if_finite(tx, 2),
    "all": lambda tx: gradtx.MultiSteps(
        gradtx.chain(gradtx.masked(tx, {"w": True, "b": False}), gradtx.identity()), 1
    ),
    "optax": lambda tx: optax.chain(optax.identity(), tx),
}


@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
@pytest.mark.one_in(2)
def test_the_average_is_found_at_any_depth(nest: Any) -> None:
    """Through every wrapper, and what is not averaged is the parameter itself."""
    params = {"w": jnp.float32([1, 2]), "b": jnp.float32([3])}
    plain, tx = gradtx.schedule_free_sgd(0.5), nest(gradtx.schedule_free_sgd(0.5))
    state, alone = tx.init(params), plain.init(params["w"])
    moved, w = params, params["w"]
    for _ in range(3):
        updates, state = tx.update(moved, state, moved)
        moved = gradtx.apply_updates(moved, updates)
        u, alone = plain.update(w, alone, w)
        w = w + u
    expected = gradtx.schedule_free_eval_params(alone, w)
    assert abs(expected - w).max() > 0.01
    for find in (gradtx.eval_params, gradtx.schedule_free_eval_params):
        found = find(state, moved)
        np.testing.assert_allclose(found["w"], expected, rtol=1e-5)
        assert found["b"].shape == params["b"].shape


both_finders = pytest.mark.parametrize(
    "find", [gradtx.eval_params, gradtx.schedule_free_eval_params]
)
SEEN = {
    "flatten": gradtx.flatten,
    "split": gradtx.contrib.split_real_and_imaginary,
    "flatten, split": lambda tx: gradtx.flatten(
        gradtx.contrib.split_real_and_imaginary(tx)
    ),
    "split, flatten": lambda tx: gradtx.contrib.split_real_and_imaginary(
        gradtx.flatten(tx)
    ),
    "flatten, sam": lambda tx: gradtx.flatten(
        gradtx.contrib.sam(tx, gradtx.sgd(0.0), sync_period=1)
    ),
}


@both_finders
@pytest.mark.parametrize("see", SEEN.values(), ids=SEEN)
@pytest.mark.one_in(2)
def test_the_average_has_the_form_of_the_parameters(see: Any, find: Any) -> None:
    """Also where the method sees one vector, or the parts of complex numbers."""
    params = {"z": jnp.array([1 + 2j, -3j]), "w": jnp.float32([[1, 2]]), "none": None}
    averages = []
    for tx in (gradtx.schedule_free_sgd(0.5), see(gradtx.schedule_free_sgd(0.5))):
        state, moved = tx.init(params), params
        for _ in range(3):
            updates, state = tx.update(moved, state, moved)
            moved = gradtx.apply_updates(moved, updates)
        averages.append(find(state, moved))
    expected, got = averages
    assert abs(expected["z"] - moved["z"]).max() > 0.01
    problems.assert_close(got, expected)


@pytest.mark.parametrize("wrap", [lambda tx: tx, gradtx.flatten], ids=["", "flatten"])
def test_averages_of_other_parameters_are_refused(wrap: Any) -> None:
    """Nothing is broadcast when the state is that of another tree."""
    tx = wrap(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5))
    state = tx.init({"w": jnp.ones(2), "b": jnp.ones(1)})
    for other in ({"w": jnp.ones(2)}, {"w": jnp.ones((2, 2)), "b": jnp.ones(1)}):
        with pytest.raises(ValueError, match="do not match `params`"):
            gradtx.eval_params(state, other)


def test_eval_params_need_a_state_of_schedule_free() -> None:
    """Another state is refused, not passed over."""
    tx = gradtx.adam(0.1)
    with pytest.raises(ValueError, match="holds none of schedule_free"):
        gradtx.schedule_free_eval_params(tx.init(jnp.ones(1)), jnp.ones(1))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("kept", [None, "bfloat16", "float32"])
def test_types(dtype: str, kept: str | None) -> None:
    """Updates have the parameter's type, z the one asked for, or one wide enough."""
    params = jnp.ones(2, dtype)
    tx = gradtx.schedule_free(gradtx.sgd(0.1), 0.1, state_dtype=kept)
    state = tx.init(params)
    updates, new = tx.update(params, state, params)
    wide = dtype if jnp.iscomplexobj(params) else kept or "float32"
    assert updates.dtype == gradtx.eval_params(new, params).dtype == dtype
    assert state.z.dtype == new.z.dtype == wide


def test_b1_of_zero_is_refused() -> None:
    """The average could not be told from the parameters."""
    with pytest.raises(ValueError, match="schedule_free: b1 must be in"):
        gradtx.schedule_free(gradtx.sgd(0.1), 0.1, b1=0.0)
