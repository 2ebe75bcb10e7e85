"""What is peculiar to those of the classic methods that have little of their own."""

import beside_optax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from methods import adam as papers

import gradtx


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adadelta", {"weight_decay": 0.1, "weight_decay_mask": beside_optax.matrices}),
        ("adamax", {"b2": 0.9}),
        ("adamaxw", {"weight_decay": 0.1, "mask": beside_optax.matrices}),
        ("fromage", {"min_norm": 0.1}),
        ("lamb", {"weight_decay": 0.1, "mask": beside_optax.matrices, "eps_root": 0.1}),
        ("novograd", {"weight_decay": 0.1, "eps_root": 0.1}),
        ("optimistic_gradient_descent", {"alpha": 0.7, "beta": 0.1}),
        ("optimistic_adam_v2", {"alpha": 0.7, "beta": 0.1, "eps_root": 0.1}),
        ("sign_sgd", {}),
        ("signum", {"beta": 0.7}),
        ("yogi", {"b1": 0.8, "b2": 0.9, "eps": 0.1}),
    ],
)
@pytest.mark.one_in(2)
def test_agrees_with_optax(name: str, settings: dict[str, object]) -> None:
    """With a schedule and other settings than the defaults, the steps are optax's."""
    ours, theirs = (
        getattr(library, name)(beside_optax.falling, **settings)
        for library in (gradtx, optax)
    )
    beside_optax.assert_same(ours, theirs)


def test_adadelta_without_a_rate_goes_up() -> None:
    """With no learning rate the direction goes out, as in optax."""
    beside_optax.assert_same(gradtx.adadelta(), optax.adadelta())


def test_fromage_turns() -> None:
    """A gradient at a right angle turns the parameter, and leaves its length."""
    tx, p = gradtx.fromage(0.3), jnp.float32([3, 4])
    u, _ = tx.update(jnp.float32([-40, 30]), tx.init(p), p)
    np.testing.assert_allclose(jnp.linalg.norm(p + u), 5, rtol=1e-6)
    np.testing.assert_allclose((p + u) @ p / 25, np.cos(np.arctan(0.3)), rtol=1e-6)


def test_fromage_shrinks_little_at_small_rates() -> None:
    """1 / √(1 + η²) - 1 is not lost in the rounding of 1."""
    tx, p = gradtx.fromage(1e-4), jnp.float32([1.0])
    u, _ = tx.update(jnp.float32([0.0]), tx.init(p), p)
    np.testing.assert_allclose(u, [-5e-9], rtol=1e-5)


def test_lamb_steps_are_as_long_as_the_rate_says() -> None:
    """Every leaf moves by η times its own length."""
    params = beside_optax.tree()
    tx = gradtx.lamb(0.01, weight_decay=0.1)
    u, _ = tx.update(params, tx.init(params), params)
    for name, p in params.items():
        expected = 0.01 * jnp.linalg.norm(p.ravel())
        np.testing.assert_allclose(jnp.linalg.norm(u[name].ravel()), expected, 1e-5)


@pytest.mark.usefixtures("x64")
def test_yogi_of_the_paper() -> None:
    """Without correction and from 0, Yogi is the paper's Algorithm 2."""
    rng = np.random.default_rng(0)
    p, grads = rng.normal(size=4), rng.normal(size=(6, 4))
    settings = {"b1": 0.8, "b2": 0.9, "eps": 1e-3}
    tx = gradtx.chain(
        gradtx.scale_by_yogi(
            **settings, initial_accumulator_value=0.0, bias_correction=False
        ),
        gradtx.scale_by_learning_rate(0.1),
    )
    paper = papers.yogi(
        p, grads, learning_rate=0.1, **settings, bias_correction=False, start=0.0
    )
    params = jnp.asarray(p)
    state = tx.init(params)
    for g, expected in zip(grads, paper, strict=True):
        u, state = tx.update(jnp.asarray(g), state, params)
        params = params + u
        np.testing.assert_allclose(params, expected, rtol=1e-12)


def test_novograd_keeps_one_number_for_a_leaf() -> None:
    """The mean squared norm is a float32 scalar, whatever the parameter."""
    tx, p = gradtx.scale_by_novograd(), jnp.full((2, 3), 2, jnp.bfloat16)
    u, state = tx.update(p, tx.init(p), p)
    assert state.nu.shape == ()
    assert state.nu.dtype == jnp.float32
    np.testing.assert_allclose(state.nu, 24.0)
    assert u.dtype == jnp.bfloat16


def test_optimism_may_be_scheduled() -> None:
    """α and β as schedules count the steps."""
    tx = gradtx.scale_by_optimistic_gradient(lambda t: 1.0 + t, lambda t: 10.0 * t)
    state = tx.init(jnp.zeros(1))
    for t, (g, last) in enumerate([(2.0, 2.0), (3.0, 2.0), (1.0, 3.0)]):
        u, state = tx.update(jnp.float32([g]), state)
        np.testing.assert_allclose(u, [(1 + t) * g + 10 * t * (g - last)], rtol=1e-6)


def test_optimism_solves_a_game() -> None:
    """On xy, min over x and max over y, plain descent goes away and this comes in."""
    far = {}
    for name in ("sgd", "optimistic_gradient_descent"):
        tx, p = getattr(gradtx, name)(0.3), jnp.float32([1.0, 1.0])
        state = tx.init(p)
        for _ in range(60):
            u, state = tx.update(jnp.stack([p[1], -p[0]]), state, p)
            p = p + u
        far[name] = float(jnp.linalg.norm(p))
    assert far["sgd"] > 5
    assert far["optimistic_gradient_descent"] < 0.1


def test_optimistic_adam_of_old() -> None:
    """It warns, and takes η and ω in place of α and β."""
    with pytest.warns(DeprecationWarning, match="use `optimistic_adam_v2` instead"):
        old = gradtx.optimistic_adam(0.1, 0.05)
    new = gradtx.optimistic_adam_v2(0.1, beta=0.5)
    beside_optax.assert_same(old, new)
