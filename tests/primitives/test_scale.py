"""Multiplying updates by numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

G = jnp.float32([1, -2, 0])


def test_scale() -> None:
    """Every update is multiplied, by a number of either sign."""
    tx = gradtx.scale(-0.5)
    state = tx.init(G)
    assert state == gradtx.ScaleState()
    np.testing.assert_array_equal(tx.update(G, state)[0], [-0.5, 1, 0])
    with pytest.raises(ValueError, match="scale: step_size must be in"):
        gradtx.scale(float("inf"))


def test_the_schedule_is_asked_from_zero_on() -> None:
    """The factor of the first step is that of count 0, an int32; then it counts."""
    seen = []

    def schedule(count: Any) -> Any:
        seen.append(count.dtype)
        return 1.0 + count

    tx = gradtx.scale_by_schedule(schedule)
    state = tx.init(G)
    for t in range(3):
        update, state = tx.update(G, state)
        np.testing.assert_array_equal(update, (1 + t) * G)
    assert isinstance(state, gradtx.ScaleByScheduleState)
    assert state.count == 3
    assert set(seen) == {jnp.dtype(jnp.int32)}


def test_the_count_stays_at_the_largest() -> None:
    """After 2³¹-1 steps the count does not turn negative."""
    largest = jnp.int32(2**31 - 1)
    tx = gradtx.scale_by_schedule(lambda count: jnp.where(count < 0, 0.0, 1.0))
    update, state = tx.update(G, gradtx.ScaleByScheduleState(largest))
    assert state.count == largest
    np.testing.assert_array_equal(update, G)
    adam = gradtx.scale_by_adam()
    state = adam.init(G)._replace(count=largest)
    assert adam.update(G, state)[1].count == largest


def test_the_learning_rate_turns_downhill() -> None:
    """Numbers and schedules are multiplied by -1, unless that is declined."""
    for rate in (0.5, lambda _: 0.5, gradtx.constant_schedule(0.5), np.float64(0.5)):
        for flip in (True, False):
            tx = gradtx.scale_by_learning_rate(rate, flip_sign=flip)
            update, _ = tx.update(G, tx.init(G))
            np.testing.assert_array_equal(update, (-0.5 if flip else 0.5) * G)
            assert update.dtype == jnp.float32
    nothing = gradtx.scale_by_learning_rate(None)
    assert nothing.update(G, nothing.init(G))[0] is G


def test_a_float_keeps_no_state_and_a_schedule_counts() -> None:
    """The state is optax's in both cases, so that checkpoints carry over."""
    for rate in (0.1, optax.constant_schedule(0.1)):
        ours = gradtx.scale_by_learning_rate(rate).init(G)
        theirs = optax.scale_by_learning_rate(rate).init(G)
        assert ours._fields == theirs._fields
        assert type(ours).__name__ == type(theirs).__name__
        assert jax.tree.leaves(ours) == jax.tree.leaves(theirs)


def test_sign_and_zero() -> None:
    """The sign of a complex number is taken of both parts; zero is zero."""
    tx = gradtx.scale_by_sign()
    np.testing.assert_array_equal(tx.update(G, tx.init(G))[0], [1, -1, 0])
    z = jnp.complex64([3 - 4j, 2j, 0])
    np.testing.assert_array_equal(tx.update(z, tx.init(z))[0], [1 - 1j, 1j, 0])
    still = gradtx.set_to_zero()
    bad = jnp.bfloat16([jnp.nan, jnp.inf])
    update, _ = still.update(bad, still.init(bad))
    assert update.dtype == jnp.bfloat16
    assert (update == 0).all()
