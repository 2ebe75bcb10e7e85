"""Tests of how the arrays of one shape come into one kernel."""

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.lowering.fusion import MAX_FUSED_LEAVES, hint_horizontal_fusion

COUNTS = (0, 7, -1)


def several(shape, number):
    """Return arrays of normal numbers, with what a choice might lose."""
    drawn = np.random.default_rng(0).normal(size=(number, *shape)).astype(np.float32)
    drawn.reshape(number, -1)[0, :3] = np.nan, -0.0, np.inf
    return list(drawn)


def on_a_gpu(function, *arguments):
    """Return the program that a GPU's compiler is given."""
    traced = jax.jit(function).trace(*arguments)
    return traced.lower(lowering_platforms=("cuda",)).as_text()


def test_arrays_side_by_side_are_as_they_were():
    """Whatever the count, every bit stays, and what is None stays None."""
    arrays = [*several((2, 3), 3), None, *several((4,), 1)]
    for count in COUNTS:
        found = jax.jit(hint_horizontal_fusion)(arrays, jnp.array(count))
        for x, y in zip(arrays, found, strict=True):
            assert (x is None) == (y is None)
            if x is not None:
                np.testing.assert_array_equal(x.view(np.int32), y.view(np.int32))


def test_the_flag_of_arrays_side_by_side_is_true_for_every_count(monkeypatch):
    """What a GPU computes for its flag is True, which else only a GPU would run."""
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda x, **ways: ways["cuda"](x)
    )
    arrays = several((2, 3), 2)
    for count in COUNTS:
        found = jax.jit(lambda c: hint_horizontal_fusion(arrays, c))(jnp.array(count))
        np.testing.assert_array_equal(arrays, found)


def test_a_gpu_shares_one_flag_among_a_dozen_arrays():
    """There is a flag for every dozen of one shape, and none for an array alone."""
    for number, flags in (
        (1, 0),
        (2, 1),
        (MAX_FUSED_LEAVES, 1),
        (MAX_FUSED_LEAVES + 2, 2),
    ):
        arrays = [*several((2, 3), number), jnp.ones(5)]
        text = on_a_gpu(hint_horizontal_fusion, arrays, jnp.array(1))
        assert text.count("optimization_barrier") == flags
    assert (
        "optimization_barrier"
        not in jax.jit(hint_horizontal_fusion)
        .lower(several((2, 3), 2), jnp.array(1))
        .as_text()
    )


def test_arrays_that_are_not_traced_are_left_alone():
    """Outside of a program there is nothing to put together."""
    arrays = several((2, 3), 2)
    assert all(
        x is y
        for x, y in zip(
            arrays, hint_horizontal_fusion(arrays, jnp.array(1)), strict=True
        )
    )
