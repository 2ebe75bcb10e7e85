"""Every schedule against its definition in NumPy, and against optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradtx import schedules

STEPS = np.arange(0, 140)

PI = np.pi


def line(start, end, f):
    """Go along a line."""
    return start + (end - start) * np.clip(f, 0, 1)


def polynomial(t):
    """Follow a power after seven steps."""
    f = np.clip((t - 7) / 50, 0, 1)
    return 0.2 + (1.5 - 0.2) * (1 - f) ** 2.5


def exponential(t):
    """Decay to an end."""
    n = np.maximum(t - 5, 0) / 20
    return np.maximum(0.4 * 0.3**n, 0.01)


def staircase(t):
    """Grow at every 20.5 steps."""
    return 0.4 * 1.3 ** np.floor(np.maximum(t - 5, 0) / 20.5)


def cosine(t):
    """Follow a power of a cosine."""
    c = (1 + np.cos(PI * np.minimum(t / 80.5, 1))) / 2
    return 2.0 * (0.1 + 0.9 * c**1.5)


def warmup_cosine(t):
    """Rise, then follow a squared cosine."""
    c = (1 + np.cos(PI * np.clip((t - 20) / 80, 0, 1))) / 2
    return np.where(t < 20, line(0.01, 3.0, t / 20), 0.5 + 2.5 * c**2)


def warmup_exponential(t):
    """Rise, wait, decay."""
    late = 3.0 * 0.5 ** (np.maximum(t - 20 - 4, 0) / 30)
    return np.where(t < 20, line(0.01, 3.0, t / 20), late)


def pieces(t):
    """Multiply twice."""
    return 0.5 * np.where(t >= 10, 0.5, 1.0) * np.where(t >= 60, 3.0, 1.0)


def interpolated(t):
    """Go along two lines."""
    return np.interp(t, [0, 10, 60], [2.0, 1.0, 3.0])


def interpolated_cosine(t):
    """Go along two halves of a cosine."""
    bend = [(1 - np.cos(PI * np.clip(f, 0, 1))) / 2 for f in (t / 10, (t - 10) / 50)]
    return np.where(t < 10, line(2.0, 1.0, bend[0]), line(1.0, 3.0, bend[1]))


def onecycle(t):
    """Go along three lines."""
    return np.interp(t, [0, 30, 85, 100], [0.04, 1.0, 0.04, 4e-6])


def onecycle_cosine(t):
    """Go up and down a cosine."""
    up, down = (
        (1 - np.cos(PI * np.clip(f, 0, 1))) / 2 for f in (t / 30, (t - 30) / 70)
    )
    return np.where(t < 30, line(0.04, 1.0, up), line(1.0, 4e-6, down))


def restarts(t):
    """Rise and follow a cosine twice."""
    cycles = [(40, 1.0), (60, 0.5)]
    first = line(0.1, 1.0, t / 10), (1 + np.cos(PI * np.clip((t - 10) / 30, 0, 1))) / 2
    s = t - 40
    second = 0.25 * (1 + np.cos(PI * np.clip(s / 60, 0, 1)))
    return np.where(t < cycles[0][0], np.where(t < 10, first[0], first[1]), second)


DOWN = {"init_value": 0.1, "peak_value": 1.0, "warmup_steps": 10, "decay_steps": 40}
AGAIN = {"init_value": 0.5, "peak_value": 0.5, "warmup_steps": 0, "decay_steps": 60}
FACTORS = {60: 3.0, 10: 0.5}

CASES = {
    "constant": ("constant_schedule", (0.3,), lambda t: np.full(t.shape, 0.3)),
    "linear": ("linear_schedule", (1.0, 0.1, 50), lambda t: line(1.0, 0.1, t / 50)),
    "polynomial": ("polynomial_schedule", (1.5, 0.2, 2.5, 50, 7), polynomial),
    "exponential": ("exponential_decay", (0.4, 20, 0.3, 5, False, 0.01), exponential),
    "staircase": ("exponential_decay", (0.4, 20.5, 1.3, 5, True), staircase),
    "cosine": ("cosine_decay_schedule", (2.0, 80.5, 0.1, 1.5), cosine),
    "warmup constant": (
        "warmup_constant_schedule",
        (0.01, 3.0, 20),
        lambda t: line(0.01, 3.0, t / 20),
    ),
    "warmup cosine": (
        "warmup_cosine_decay_schedule",
        (0.01, 3.0, 20, 100, 0.5, 2.0),
        warmup_cosine,
    ),
    "warmup exponential": (
        "warmup_exponential_decay_schedule",
        (0.01, 3.0, 20, 30, 0.5, 4),
        warmup_exponential,
    ),
    "pieces": ("piecewise_constant_schedule", (0.5, FACTORS), pieces),
    "interpolated": (
        "piecewise_interpolate_schedule",
        ("linear", 2.0, FACTORS),
        interpolated,
    ),
    "interpolated cosine": (
        "piecewise_interpolate_schedule",
        ("cosine", 2.0, FACTORS),
        interpolated_cosine,
    ),
    "one cycle": ("linear_onecycle_schedule", (100, 1.0), onecycle),
    "one cosine cycle": ("cosine_onecycle_schedule", (100, 1.0), onecycle_cosine),
    "restarts": ("sgdr_schedule", ([DOWN, AGAIN],), restarts),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.one_in(2)
def test_follows_its_definition(name):
    """At every step, before, within and after the phases."""
    factory, args, expected = CASES[name]
    value = getattr(schedules, factory)(*args)(STEPS)
    np.testing.assert_allclose(value, expected(STEPS), rtol=3e-6, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.one_in(6)
def test_agrees_with_optax(name):
    """The same call gives the same values there, one step at a time."""
    factory, args, _ = CASES[name]
    ours, theirs = (getattr(room, factory)(*args) for room in (schedules, optax))
    for step in (0, 7, 10, 20, 33, 60, 85, 100, 139):
        np.testing.assert_allclose(
            ours(jnp.int32(step)), theirs(jnp.int32(step)), rtol=2e-5, atol=1e-7
        )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.one_in(6)
def test_is_a_float32_of_the_shape_of_the_count(name):
    """So that it enters any arithmetic in the same way."""
    factory, args, _ = CASES[name]
    made = getattr(schedules, factory)(*args)
    for count in (3, 3.0, jnp.int32(3), np.int64(3), jnp.zeros((2, 3), jnp.int32)):
        value = made(count)
        assert value.dtype == jnp.float32
        assert value.shape == np.shape(count)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.one_in(2)
def test_is_exact_in_float64(name):
    """With 64 bits the value is the definition's to their last places."""
    factory, args, expected = CASES[name]
    value = getattr(schedules, factory)(*args)(STEPS)
    assert value.dtype == jnp.float64
    np.testing.assert_allclose(value, expected(STEPS), rtol=1e-12, atol=1e-15)


def test_jitted_by_itself_it_is_the_same():
    """A schedule is a function like any other to jit."""
    made = schedules.warmup_cosine_decay_schedule(0.0, 1.0, 10, 40)
    np.testing.assert_allclose(jax.jit(made)(STEPS), made(STEPS), rtol=1e-6)


def test_no_warmup_is_the_peak_at_once():
    """Without steps to rise in, nothing stays at the value of step 0."""
    made = schedules.warmup_constant_schedule(0.0, 0.5, 0)
    assert [float(made(t)) for t in (0, 1, 9)] == [0.5, 0.5, 0.5]


def test_a_cosine_from_a_peak_of_zero_stays_there():
    """Its end is a share of the peak, so it is 0 too."""
    made = schedules.warmup_cosine_decay_schedule(0.2, 0.0, 50, 100, -3.0, 2)
    np.testing.assert_allclose(made(np.array([10, 50, 75, 100])), [0.16, 0, 0, 0])


def test_a_transition_without_steps_does_not_happen():
    """The value stays where it starts, also if the number of steps is traced."""
    for steps in (0, -1):
        linear = schedules.linear_schedule(1.0, 0.0, steps)
        traced = jax.jit(lambda n: schedules.exponential_decay(1.0, n, 0.5)(7))
        assert (float(linear(5)), float(traced(steps))) == (1.0, 1.0)


def test_steps_of_no_length_between_pieces():
    """Two factors at one step both count, and the first step can be 0."""
    pairs = ((0, 2.0), (5, 3.0), (5, 0.5))
    for kind in ("linear", "cosine"):
        made = schedules.piecewise_interpolate_schedule(kind, 1.0, pairs)
        assert [float(made(t)) for t in (0, 5, 6)] == [2.0, 3.0, 3.0]
