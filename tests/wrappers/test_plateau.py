"""The scale falls when a value stops falling."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

import gradtx


def scales(tx: Any, values: Any) -> list[float]:
    """Return the scale after each of the values."""
    ones = jnp.ones(1)
    state, update, path = tx.init(ones), jax.jit(tx.update), []
    for value in values:
        updates, state = update(ones, state, value=value)
        assert updates[0] == state.scale
        path.append(float(state.scale))
    return path


def definition(
    values: Any, *, patience: int, cooldown: int, size: int, rtol: float, low: float
) -> list[float]:
    """Follow the rule in plain Python, for means of ``size`` values."""
    best, bad, rest, scale, path, batch = np.inf, 0, 0, 1.0, [], []
    for value in values:
        batch.append(value)
        if len(batch) == size:
            mean, batch = np.mean(batch), []
            better = best == np.inf or mean < best - rtol * abs(best)
            best = mean if better else best
            bad = 0 if better or rest else bad + 1
            rest = max(rest - 1, 0)
            if bad == patience:
                scale, bad, rest = max(scale * 0.5, low), 0, cooldown
        path.append(scale)
    return path


@pytest.mark.parametrize("shift", [0.0, -10.0])
@pytest.mark.parametrize(("cooldown", "size"), [(0, 1), (2, 1), (1, 3)])
def test_follows_its_definition(shift: float, cooldown: int, size: int) -> None:
    """For positive and negative values, with rests and means."""
    rng = np.random.default_rng(0)
    values = 2 + shift + np.maximum(0, 1 - np.arange(30) / 5) + rng.random(30) / 10
    settings = {"patience": 3, "cooldown": cooldown, "rtol": 1e-3}
    tx = gradtx.reduce_on_plateau(
        0.5, accumulation_size=size, min_scale=0.2, **settings
    )
    expected = definition(values, size=size, low=0.2, **settings)
    assert expected[-1] < 1
    np.testing.assert_allclose(scales(tx, values), expected, rtol=1e-6)


def test_agrees_with_optax_on_positive_values() -> None:
    """Field by field, as long as the best value is positive."""
    values = [3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    tx = gradtx.reduce_on_plateau(patience=2, cooldown=1)
    other = contrib.reduce_on_plateau(patience=2, cooldown=1)
    ones = jnp.ones(1)
    state, expected = tx.init(ones), other.init(ones)
    for value in values:
        _, state = tx.update(ones, state, value=value)
        _, expected = other.update(ones, expected, value=value)
        assert state._fields == expected._fields
        np.testing.assert_allclose(state, expected, rtol=1e-6)


def test_a_negative_value_that_stays_reduces() -> None:
    """The scale falls for -1 as it falls for 1."""
    tx = gradtx.reduce_on_plateau(patience=2)
    assert scales(tx, [-1.0] * 8) == scales(tx, [1.0] * 8)


def test_its_numbers_may_be_traced() -> None:
    """Patience, factor and the rest are leaves: a sweep is one program."""

    def last(patience: Any) -> Any:
        tx = gradtx.reduce_on_plateau(patience=patience)
        state = tx.init(jnp.ones(1))
        for _ in range(4):
            _, state = tx.update(jnp.ones(1), state, value=1.0)
        return state.scale

    found = jax.vmap(last)(jnp.array([1, 3, 9]))
    np.testing.assert_allclose(found, [1e-3, 0.1, 1], rtol=1e-6)


def test_types_stay() -> None:
    """Updates keep their type, and the state has float32, for bfloat16 too."""
    tx = gradtx.chain(optax.identity(), gradtx.reduce_on_plateau())
    params = jnp.ones(1, jnp.bfloat16)
    state = tx.init(params)
    updates, new = tx.update(params, state, params, value=jnp.bfloat16(1))
    assert updates.dtype == jnp.bfloat16
    assert new[1].scale.dtype == new[1].best_value.dtype == jnp.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": 1.0}, "factor must be"),
        ({"factor": 0.0}, "factor must be"),
        ({"rtol": 0.0}, "one of rtol, atol must not be 0"),
        ({"rtol": 2.0}, "rtol must be"),
        ({"accumulation_size": 0}, "accumulation_size must be"),
    ],
)
def test_wrong_settings_are_refused(settings: Any, message: str) -> None:
    """Each is named."""
    with pytest.raises(ValueError, match=f"reduce_on_plateau: {message}"):
        gradtx.reduce_on_plateau(**settings)


def test_the_value_is_needed() -> None:
    """Its absence, and an array in its place, are named."""
    tx, ones = gradtx.reduce_on_plateau(), jnp.ones(2)
    with pytest.raises(ValueError, match="needs the extra argument 'value'"):
        tx.update(ones, tx.init(ones))
    with pytest.raises(ValueError, match="value must be one number"):
        tx.update(ones, tx.init(ones), value=ones)
