"""Injected settings: the same optimizer, with its numbers where one can reach them."""

import functools
import inspect
import pickle
from typing import Any, NamedTuple, ParamSpec, get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx.wrappers.accumulate import accumulate
from gradtx.wrappers.hyperparams import inject_hyperparams


def halving(count: Any) -> Any:
    """Return 1, 1/2, 1/4, ..."""
    return 0.5**count


class Total(NamedTuple):
    """The state of :class:`AddUp`."""

    total: Any


class AddUp:
    """A schedule whose value is the sum of an extra argument so far."""

    def init(self) -> Total:
        """Start at 1."""
        return Total(jnp.float32(1))

    def update(self, state: Total, **extra: Any) -> Total:
        """Add the extra argument."""
        return Total(state.total + extra["addendum"])

    def __call__(self, state: Total, **extra: Any) -> Any:
        """Return the sum."""
        del extra
        return state.total


def test_bfloat16_parameters_take_the_steps_of_the_plain_optimizer() -> None:
    """The decay of Adam's squares is not rounded to 1: updates agree to the bit."""
    params = jnp.bfloat16([1, -2, 3])
    tx, plain = inject_hyperparams(gradtx.adam)(1e-3), gradtx.adam(1e-3)
    state, expected = tx.init(params), plain.init(params)
    assert {str(x.dtype) for x in state.hyperparams.values()} == {"float32"}
    for i in range(3):
        g = params * (0.1 + i)
        u, state = tx.update(g, state, params)
        v, expected = plain.update(g, expected, params)
        np.testing.assert_array_equal(u, v)


@pytest.mark.parametrize("factory", [gradtx.adam, optax.adam])
def test_fields_and_values_are_those_of_optax(factory: Any) -> None:
    """The state reads as optax's does, for factories of both libraries."""
    tx = inject_hyperparams(factory)(halving, b2=0.99)
    other = optax.inject_hyperparams(optax.adam)(halving, b2=0.99)
    params = jnp.ones(3)
    state, expected = tx.init(params), other.init(params)
    for _ in range(3):
        assert state._fields == expected._fields
        assert state.hyperparams.keys() == expected.hyperparams.keys()
        for name, x in expected.hyperparams.items():
            np.testing.assert_allclose(state.hyperparams[name], x, rtol=1e-6)
        assert int(state.count) == int(expected.count)
        count = state.hyperparams_states["learning_rate"].count
        assert count == expected.hyperparams_states["learning_rate"].count
        u, state = jax.jit(tx.update)(params, state, params)
        v, expected = other.update(params, expected, params)
        np.testing.assert_allclose(u, v, rtol=1e-4)


def test_a_number_changed_by_hand_counts_and_keeps_its_type() -> None:
    """The next step uses it, an int as the float it is, and warns that it compiles."""
    tx = inject_hyperparams(gradtx.sgd)(0.1)
    state = tx.init(jnp.ones(1))
    state.hyperparams["learning_rate"] = 2
    with pytest.warns(UserWarning, match=r"learning_rate.*compiled again.*tree\.set"):
        updates, state = jax.jit(tx.update)(jnp.ones(1), state)
    np.testing.assert_array_equal(updates, [-2])
    assert state.hyperparams["learning_rate"].dtype == jnp.float32


def test_a_schedule_overwrites_what_was_changed_by_hand() -> None:
    """The first step uses the schedule at 0, and each later one its own step."""
    tx = inject_hyperparams(gradtx.scale)(lambda count: count)
    state = tx.init(jnp.ones(1))
    for step in range(3):
        state.hyperparams["step_size"] = 7.0
        updates, state = tx.update(jnp.ones(1), state)
        np.testing.assert_array_equal(updates, [step])


def test_schedules_with_a_state_are_given_the_extra_arguments() -> None:
    """A stateful schedule moves on by what the training loop reports."""
    tx = inject_hyperparams(gradtx.scale)(step_size=AddUp())
    state = tx.init(jnp.ones(1))
    values = []
    for _ in range(3):
        updates, state = jax.jit(tx.update)(jnp.ones(1), state, addendum=0.5)
        values.append(float(updates[0]))
    assert values == [1, 1.5, 2]
    assert float(state.hyperparams_states["step_size"].total) == 2.5


def test_only_numbers_are_injected() -> None:
    """Flags, types, masks, structure and keys stay what they are."""
    adamw = inject_hyperparams(gradtx.adamw)(
        0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p), mu_dtype=jnp.float32
    )
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    state = adamw.init(params)
    numbers = {"learning_rate", "b1", "b2", "eps", "eps_root", "weight_decay"}
    assert state.hyperparams.keys() == numbers
    updates, _ = adamw.update(jax.tree.map(jnp.zeros_like, params), state, params)
    assert updates["w"].any()
    assert not updates["b"].any()

    slow = inject_hyperparams(gradtx.lookahead)(gradtx.sgd(1.0), 1, 0.5)
    assert slow.init(params).hyperparams.keys() == {"slow_step_size"}

    def noisy(key: Any, size: float) -> Any:
        return gradtx.scale(size * jax.random.normal(key))

    noise = inject_hyperparams(noisy)(jax.random.key(0), 0.1)
    assert noise.init(params).hyperparams.keys() == {"size"}


def test_a_factory_with_some_arguments_given() -> None:
    """Of `functools.partial` the numbers given early live in the state too."""
    factory = functools.partial(gradtx.lookahead, sync_period=2, slow_step_size=0.25)
    tx = inject_hyperparams(factory)(gradtx.sgd(0.1))
    plain = factory(gradtx.sgd(0.1))
    params = jnp.float32([1, 2])
    state, expected = tx.init(params), plain.init(params)
    assert state.hyperparams == {"slow_step_size": 0.25}
    for _ in range(2):
        u, state = tx.update(params, state, params)
        v, expected = plain.update(params, expected, params)
        np.testing.assert_allclose(u, v, rtol=1e-6)


@pytest.mark.parametrize("static", ["period", ["period", "label"]])
def test_static_arguments_are_passed_on(static: Any) -> None:
    """What is named is not touched, be it a number or a function."""

    @functools.partial(inject_hyperparams, static_args=static)
    def make(rate: float, period: int, label: str = "x") -> Any:
        assert isinstance(period, int)
        assert label == "x"
        return accumulate(gradtx.sgd(rate), period)

    assert make(0.1, 2).init(jnp.ones(1)).hyperparams.keys() == {"rate"}


@pytest.mark.parametrize(
    ("given", "wanted", "params", "kept"),
    [
        (0.9, None, "bfloat16", "float32"),
        (0.9, None, "float32", "float32"),
        (0.9, None, "complex64", "float32"),
        (0.9, "bfloat16", "float32", "bfloat16"),
        (jnp.bfloat16(0.9), None, "float32", "bfloat16"),
        (lambda count: jnp.bfloat16(0.9) + 0 * count, None, "float32", "bfloat16"),
    ],
)
@pytest.mark.one_in(2)
def test_types_of_numbers(given: Any, wanted: Any, params: str, kept: str) -> None:
    """At least float32, what is asked for, or the type of the array; in every step."""
    tx = inject_hyperparams(gradtx.scale_by_adam, hyperparam_dtype=wanted)(given, 0.95)
    ones = jnp.ones(2, params)
    state = tx.init(ones)
    for _ in range(2):
        assert state.hyperparams["b1"].dtype == kept
        assert not state.hyperparams["b1"].weak_type
        _, state = tx.update(ones, state)


@pytest.mark.usefixtures("x64")
def test_float64_parameters_have_numbers_in_float64() -> None:
    """The digits that the parameters could show are kept."""
    state = inject_hyperparams(gradtx.sgd)(0.1).init(jnp.ones(2))
    assert float(state.hyperparams["learning_rate"]) == 0.1


@pytest.mark.parametrize(
    "make",
    [
        lambda: inject_hyperparams(gradtx.adam)(lambda count: 0.1 / (1 + count)),
        lambda: inject_hyperparams(optax.adam)(1e-3),
        lambda: inject_hyperparams(lambda rate: accumulate(gradtx.sgd(rate), 2))(0.1),
    ],
)
@pytest.mark.one_in(2)
def test_nothing_is_compiled_in_the_second_step(make: Any) -> None:
    """Neither in a loop that is not jitted nor in one that is, in bfloat16."""
    params = jnp.ones((2, 2), jnp.bfloat16)
    tx = make()
    for update in (tx.update, jax.jit(tx.update)):
        state, counts = tx.init(params), []
        for _ in range(3):
            before = problems.compiled()
            _, state = update(params, state, params)
            counts.append(problems.compiled() - before)
        assert counts[1:] == [0, 0]


def test_the_signature_is_the_factory_s() -> None:
    """For readers of it, and for type checkers, to whom one name stands for both."""
    made = inject_hyperparams(gradtx.adamw)
    assert inspect.signature(made) == inspect.signature(gradtx.adamw)
    hints = get_type_hints(inject_hyperparams)
    given, returned = (hints[name] for name in ("inner_factory", "return"))
    assert isinstance(get_args(given)[0], ParamSpec)
    assert get_args(returned) == (get_args(given)[0], gradtx.GradientTransformation)


def test_it_is_a_value() -> None:
    """It prints, compares, pickles, is changed, and its numbers pass through jit."""
    tx = inject_hyperparams(gradtx.adam)(1e-3, b1=0.8)
    assert repr(tx) == "inject_hyperparams(adam)(learning_rate=0.001, b1=0.8)"
    assert tx == inject_hyperparams(gradtx.adam)(1e-3, b1=0.8)
    assert tx != inject_hyperparams(gradtx.adam, "b2")(1e-3, b1=0.8)
    assert pickle.loads(pickle.dumps(tx)) == tx  # noqa: S301
    assert tx.replace(b1=0.9) == inject_hyperparams(gradtx.adam)(1e-3)
    read = jax.jit(lambda tx: tx.init(jnp.ones(1)).hyperparams["b1"])
    np.testing.assert_allclose(read(tx), 0.8)
    before = problems.compiled()
    np.testing.assert_allclose(read(tx.replace(b1=0.5)), 0.5)
    assert problems.compiled() == before
    made = inject_hyperparams(gradtx.adam)
    assert inspect.signature(made) == inspect.signature(gradtx.adam)
    assert made.__name__ == "adam"


def test_wrong_settings_are_refused() -> None:
    """An argument that there is not, and a number that the factory refuses."""
    with pytest.raises(ValueError, match=r"inject_hyperparams\(adam\) has no .* lr"):
        inject_hyperparams(gradtx.adam, static_args="lr")
    with pytest.raises(ValueError, match=r"inject_hyperparams\(adam\).* b1 must be"):
        inject_hyperparams(gradtx.adam)(0.1, b1=1.5)


def test_fresh_states_share_no_buffer() -> None:
    """State and parameters can be donated, and an array that was given lives on."""
    rate = jnp.float32(0.1)
    tx = inject_hyperparams(gradtx.sgd)(rate)
    params = jnp.ones(2)
    step = jax.jit(lambda p, s: tx.update(p, s, p), donate_argnums=(0, 1))
    step(params, tx.init(params))
    assert float(rate) == np.float32(0.1)


def test_eval_params_are_found_inside() -> None:
    """Averaged weights of the optimizer are found."""
    tx = inject_hyperparams(lambda rate: gradtx.lookahead(gradtx.sgd(rate), 2, 0.5))(
        1.0
    )
    params = jnp.ones(2)
    updates, state = tx.update(params, tx.init(params), params)
    moved = gradtx.apply_updates(params, updates)
    np.testing.assert_array_equal(gradtx.eval_params(state, moved), params)
