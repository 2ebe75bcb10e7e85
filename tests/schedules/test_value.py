"""A schedule remembers how it was made, and lets its numbers move."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import schedules

ONE_OF_EACH = {
    "constant": lambda: schedules.constant_schedule(0.5),
    "linear": lambda: schedules.linear_schedule(1.0, 0.1, 10),
    "polynomial": lambda: schedules.polynomial_schedule(1.0, 0.1, 2.0, 10, 2),
    "exponential": lambda: schedules.exponential_decay(
        1.0, 3, 0.5, 1, staircase=True, end_value=0.1
    ),
    "cosine": lambda: schedules.cosine_decay_schedule(1.0, 10, 0.1, 2.0),
    "pieces": lambda: schedules.piecewise_constant_schedule(1.0, {3: 0.5, 6: 0.1}),
    "interpolated": lambda: schedules.piecewise_interpolate_schedule(
        "cosine", 1.0, {3: 0.5, 6: 0.1}
    ),
    "one cycle": lambda: schedules.linear_onecycle_schedule(10, 1.0),
    "one cosine cycle": lambda: schedules.cosine_onecycle_schedule(10, 1.0),
    "warmup": lambda: schedules.warmup_constant_schedule(0.1, 1.0, 4),
    "warmup cosine": lambda: schedules.warmup_cosine_decay_schedule(0.1, 1.0, 4, 9),
    "warmup exponential": lambda: schedules.warmup_exponential_decay_schedule(
        0.1, 1.0, 4, 3, 0.5
    ),
    "restarts": lambda: schedules.sgdr_schedule(
        {"init_value": 0.1, "peak_value": 1.0, "warmup_steps": 1, "decay_steps": n}
        for n in (4, 8)
    ),
    "joined": lambda: schedules.join_schedules(
        [schedules.constant_schedule(1.0), schedules.linear_schedule(1.0, 0.0, 5)], [4]
    ),
}

STEPS = jnp.arange(12)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_is_a_value(name):
    """Made alike it is equal, hashes, prints and pickles alike, and copies."""
    made, again = ONE_OF_EACH[name](), ONE_OF_EACH[name]()
    assert made == again
    assert hash(made) == hash(again)
    assert repr(made) == repr(again)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301
    assert copy.deepcopy(made) == made
    assert made != schedules.constant_schedule(123.0)
    rebuilt = eval(repr(made), vars(schedules))  # noqa: S307
    assert rebuilt == made


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.one_in(12)
def test_goes_through_jit(name):
    """All numbers are leaves: others of the same kind compile nothing anew."""
    made = ONE_OF_EACH[name]()
    evaluate = jax.jit(lambda s, t: s(t))
    np.testing.assert_allclose(evaluate(made, STEPS), made(STEPS), rtol=1e-5, atol=1e-7)
    leaves, treedef = jax.tree.flatten(made)
    assert all(isinstance(x, int | float) for x in leaves)
    evaluate(treedef.unflatten([x * 2 for x in leaves]), STEPS)
    assert problems.compiled_at_most_once(evaluate)


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.one_in(12)
def test_is_mapped_over(name):
    """A stack of schedules under vmap gives what each of them gives."""
    made = ONE_OF_EACH[name]()
    leaves, treedef = jax.tree.flatten(made)
    other = treedef.unflatten([x * 0.5 for x in leaves])
    floats = treedef.unflatten([x * 1.0 for x in leaves])
    stack = jax.tree.map(lambda *x: jnp.stack([*x]), floats, other)
    got = jax.vmap(lambda s: s(STEPS))(stack)
    for row, one in zip(got, (floats, other), strict=True):
        np.testing.assert_allclose(row, one(STEPS), rtol=1e-5, atol=1e-6)


def test_built_from_traced_numbers():
    """Steps, peaks and boundaries may all be known later."""

    @jax.jit
    def at(t, steps, peak, boundary):
        parts = [
            schedules.warmup_cosine_decay_schedule(0.0, peak, steps, 2 * steps),
            schedules.linear_onecycle_schedule(steps, peak),
            schedules.piecewise_constant_schedule(peak, [(boundary, 0.5)]),
        ]
        return schedules.join_schedules(parts, [boundary, 2 * boundary])(t)

    def known(t):
        parts = [
            schedules.warmup_cosine_decay_schedule(0.0, 2.0, 10, 20),
            schedules.linear_onecycle_schedule(10, 2.0),
            schedules.piecewise_constant_schedule(2.0, {15: 0.5}),
        ]
        return schedules.join_schedules(parts, [15, 30])(t)

    t = jnp.arange(50)
    np.testing.assert_allclose(at(t, 10, 2.0, 15), known(t), rtol=1e-5)
    np.testing.assert_allclose(at(t, 10.0, 2.0, 15.0), known(t), rtol=1e-5)


def test_differentiated():
    """The gradient through a schedule is the definition's, and finite at its ends."""

    def value(numbers, t):
        start, end, steps = numbers
        return schedules.polynomial_schedule(start, end, 0.5, steps)(t)

    at = (3.0, 1.0, 8.0)
    start, end, steps = jax.grad(value)(at, 6)
    root = np.sqrt(1 / 4)
    np.testing.assert_allclose([start, end], [root, 1 - root], rtol=1e-6)
    np.testing.assert_allclose(steps, 2 * 0.5 / root * 6 / 64, rtol=1e-5)
    for t in (0, 8, 9, 2**30):
        assert np.all(np.isfinite(jax.grad(value)(at, t)))


def test_replaced():
    """An argument of a part is found by its name."""
    tx = gradtx.adam(schedules.cosine_decay_schedule(0.1, 100))
    other = tx.replace(decay_steps=200)
    assert other == gradtx.adam(schedules.cosine_decay_schedule(0.1, 200))
    assert jax.tree.structure(other) == jax.tree.structure(tx)


def test_as_learning_rate():
    """The optimizer takes its value after the steps that went before."""
    made = schedules.piecewise_constant_schedule(0.5, {1: 0.5})
    tx = gradtx.sgd(made)
    state = tx.init(jnp.ones(2))
    for expected in (-0.5, -0.25, -0.25):
        u, state = tx.update(jnp.ones(2), state)
        np.testing.assert_allclose(u, [expected] * 2)


def test_own_factory():
    """The decorator makes a value of anyone's schedule."""

    @schedules.schedule
    def inverse_root(init_value: gradtx.Scalar, by: float = 1.0):
        return lambda t: init_value / jnp.sqrt(1 + t / by)

    made = inverse_root(2.0)
    assert repr(made) == "inverse_root(init_value=2.0)"
    assert jax.tree.leaves(made) == [2.0, 1.0]
    assert float(made(3)) == 1.0


def test_any_function_can_be_joined():
    """Parts need not be made here; they count from their own start."""
    made = schedules.join_schedules([lambda t: 10 + t, lambda t: 20 + t], [3])
    assert [int(made(t)) for t in (0, 2, 3, 5)] == [10, 12, 20, 22]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: schedules.constant_schedule(float("nan")), "value must be in"),
        (lambda: schedules.linear_schedule(1.0, float("inf"), 3), "end_value must be"),
        (lambda: schedules.linear_schedule(1.0, 0.0, 3, -1), "transition_begin must"),
        (lambda: schedules.polynomial_schedule(1.0, 0.0, -1, 3), "power must be in"),
        (lambda: schedules.exponential_decay(1.0, 3, -0.5), "decay_rate must be in"),
        (lambda: schedules.cosine_decay_schedule(1.0, 0), "decay_steps must be in"),
        (
            lambda: schedules.warmup_cosine_decay_schedule(0.0, 1.0, 5, 5),
            "decay_steps - warmup_steps must be in",
        ),
        (
            lambda: schedules.warmup_constant_schedule(0.0, 1.0, -5),
            "warmup_steps must be in",
        ),
        (
            lambda: schedules.piecewise_constant_schedule(1.0, {3: -0.5}),
            "the scale at step 3 must be in",
        ),
        (
            lambda: schedules.piecewise_constant_schedule(1.0, [(3, 1.0), (2, 1.0)]),
            "boundaries must be in ascending order",
        ),
        (
            lambda: schedules.piecewise_interpolate_schedule("linar", 1.0),
            "interpolate_type must be",
        ),
        (
            lambda: schedules.linear_onecycle_schedule(10, 1.0, 0.8, 0.3),
            "pct_start and pct_final must be in ascending order",
        ),
        (lambda: schedules.cosine_onecycle_schedule(0, 1.0), "transition_steps must"),
        (lambda: schedules.sgdr_schedule([]), "at least one cycle"),
        (
            lambda: schedules.join_schedules([schedules.constant_schedule(1.0)], [5]),
            "1 schedules need 0 boundaries between them, got 1",
        ),
        (
            lambda: schedules.join_schedules(
                [schedules.constant_schedule(1.0)] * 3, [5]
            ),
            "3 schedules need 2 boundaries between them, got 1",
        ),
        (
            lambda: schedules.join_schedules(
                [schedules.constant_schedule(1.0)] * 3, [5, 3]
            ),
            "boundaries must be in ascending order",
        ),
    ],
)
def test_refuses_what_makes_no_sense(make, text):
    """Where it is made, and by the name of the argument."""
    with pytest.raises(ValueError, match=text):
        make()


def test_wrapped_it_counts_by_itself():
    """A wrapped schedule keeps the count in a state of its own."""
    wrapped = schedules.WrappedSchedule(schedules.linear_schedule(1.0, 0.0, 4))
    assert isinstance(wrapped, schedules.StatefulSchedule)
    state = wrapped.init()
    assert float(wrapped(state)) == 1.0
    state = wrapped.update(state, value=3.0)
    assert (int(state.count), float(wrapped(state))) == (1, 0.75)
    assert wrapped == schedules.WrappedSchedule(wrapped.schedule_fn)
