"""The recipe of Muon and AdamW: its routing, its schedule, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.recipes import muon_adamw
from gradtx.recipes.muon_adamw import FALLS

STEPS = 20


def weights():
    """Make parameters of every kind: an embedding, a kernel, a bias, a head."""
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "embedding": jax.random.normal(keys[0], (7, 4)),
        "dense": {"kernel": jax.random.normal(keys[1], (4, 3)), "bias": jnp.ones(3)},
        "head": {"kernel": jax.random.normal(keys[2], (3, 7))},
    }


def by_hand(params):
    """Write the recipe as the composition that its docstring shows."""
    rate = gradtx.warmup_cosine_decay_schedule(0.0, 0.1, 2, STEPS)
    return gradtx.muon(
        rate,
        beta=0.95,
        adam_b2=0.999,
        consistent_rms=0.2,
        muon_weight_dimension_numbers=gradtx.matrices(params),
        weight_decay=0.1,
        adam_weight_decay=0.1,
    )


def follow(tx, params, steps=4):
    """Take steps along gradients that are functions of the parameters."""
    step = jax.jit(tx.update)
    state = tx.init(params)
    for _ in range(steps):
        updates, state = step(jax.tree.map(jnp.sin, params), state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


def test_it_is_the_composition_that_it_prints():
    """It steps as the parts put together by hand do, and its repr names them."""
    params = weights()
    tx = muon_adamw(params, 0.1, STEPS)
    mine, _ = follow(tx, params)
    theirs, _ = follow(by_hand(params), params)
    jax.tree.map(np.testing.assert_array_equal, mine, theirs)
    for part in ("muon", "warmup_cosine_decay_schedule", "embedding"):
        assert part in repr(tx), repr(tx)


@pytest.mark.parametrize("rise", [0, 4])
def test_a_rate_may_fall_on_a_line(rise):
    """Its rate rises to the peak and is then as far from 0 as the end is from it."""
    rate = FALLS["linear"](0.1, rise, STEPS)
    rates = np.array([rate(step) for step in range(STEPS + 2)])
    left = (STEPS - np.arange(rise, STEPS + 1)) / (STEPS - rise)
    np.testing.assert_allclose(rates[rise:-1], 0.1 * left, atol=1e-8)
    np.testing.assert_allclose(rates[:rise], 0.1 * np.arange(rise) / max(rise, 1))
    assert rates[-1] == 0
    assert "linear_schedule" in repr(muon_adamw(weights(), 0.1, STEPS, fall="linear"))


def test_only_what_is_a_matrix_by_its_path_goes_to_muon():
    """The dense kernel's first step has equal singular values, the head's has not."""
    params = weights()
    moved, _ = follow(muon_adamw(params, 0.1, STEPS, warmup_steps=0), params, steps=1)
    steps = jax.tree.map(lambda new, old: new - old * (1 - 0.01), moved, params)
    equal = np.linalg.svd(steps["dense"]["kernel"])[1]
    assert equal.min() > 0.6 * equal.max()
    spread = np.linalg.svd(steps["head"]["kernel"])[1]
    assert spread.min() < 0.6 * spread.max()


def test_averaging_keeps_a_running_mean_to_evaluate_with():
    """With averaging, what one evaluates with is behind the parameters."""
    params = weights()
    tx = muon_adamw(params, 0.1, STEPS, averaging=0.9)
    moved, state = follow(tx, params)
    slow = gradtx.eval_params(state, moved)
    assert not np.allclose(slow["head"]["kernel"], moved["head"]["kernel"])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"steps": 0}, "steps"),
        ({"warmup_steps": STEPS}, "below the 20 steps"),
        ({"peak_learning_rate": -1.0}, "peak_learning_rate"),
        ({"fall": "step"}, "one of cosine, linear, got 'step'"),
    ],
)
def test_it_refuses_what_makes_no_run(given, complaint):
    """No steps, warm-up alone, a negative rate and an unknown fall are refused."""
    with pytest.raises(ValueError, match=complaint):
        muon_adamw(weights(), **{"peak_learning_rate": 0.1, "steps": STEPS, **given})
