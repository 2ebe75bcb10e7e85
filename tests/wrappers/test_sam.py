"""SAM: up, and down from there."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

import gradtx

RHO, RATE = 0.2, 0.1


def slope(p: Any) -> Any:
    """Return the gradient of a quartic."""
    return (p - 1) ** 3


def paper(p: Any, steps: int) -> list[Any]:
    """Foret et al., 2021, Algorithm 1, with gradient descent."""
    path = []
    for _ in range(steps):
        g = slope(p)
        p = p - RATE * slope(p + RHO * g / np.linalg.norm(g))
        path.append(p)
    return path


def adversary() -> Any:
    """Return a normalized step of the length ρ."""
    return gradtx.chain(gradtx.normalize(), gradtx.sgd(RHO))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("opaque", [False, True])
def test_follows_the_paper(opaque: bool) -> None:
    """Every second step, or every opaque one, ends where the paper's step ends."""
    tx = gradtx.sam(gradtx.sgd(RATE), adversary(), opaque_mode=opaque)
    p0 = np.array([3.0, -1.0, 0.5])
    params = jnp.asarray(p0)
    state, path = tx.init(params), []
    extra: Any = {"grad_fn": lambda p, _: slope(p)} if opaque else {}
    for _ in range(3 if opaque else 6):
        updates, state = tx.update(slope(params), state, params, value=1.0, **extra)
        params = gradtx.apply_updates(params, updates)
        path.append((params, gradtx.eval_params(state, params)))
    expected = paper(p0, 3)
    ends = path if opaque else path[1::2]
    np.testing.assert_allclose([p for p, _ in ends], expected, rtol=1e-12)
    # On the way up the weights to evaluate with are those before it.
    evaluated = [w for _, w in path]
    before = expected if opaque else np.repeat([p0, *expected], 2, axis=0)[1:-1]
    np.testing.assert_allclose(evaluated, before, rtol=1e-12)


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("period", [2, 3])
@pytest.mark.one_in(2)
def test_agrees_with_optax(reset: bool, period: int) -> None:
    """With optimizers that remember, over several ways up, as optax steps."""
    tx = gradtx.sam(gradtx.adam(0.1), gradtx.adam(0.05), period, reset)
    other = contrib.sam(optax.adam(0.1), optax.adam(0.05), period, reset)
    p = q = jnp.float32([3, -1])
    state, expected = tx.init(p), other.init(q)
    update, update_other = jax.jit(tx.update), jax.jit(other.update)
    for _ in range(2 * period + 1):
        u, state = update(slope(p), state, p)
        v, expected = update_other(slope(q), expected, q)
        p, q = p + u, q + v
        np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-6)
    assert state._fields == expected._fields
    assert int(state.steps_since_sync) == 1


def test_a_period_of_one_is_the_optimizer() -> None:
    """Without a way up every step is the optimizer's own."""
    tx, plain = gradtx.sam(gradtx.adam(0.1), adversary(), 1), gradtx.adam(0.1)
    p = jnp.float32([3, -1])
    state, expected = tx.init(p), plain.init(p)
    for _ in range(3):
        u, state = tx.update(slope(p), state, p)
        v, expected = plain.update(slope(p), expected, p)
        np.testing.assert_allclose(u, v, rtol=1e-5)
        p = p + v


def test_a_bad_gradient_on_the_way_up_does_no_harm() -> None:
    """The step not taken is chosen, not multiplied by zero: NaN does not pass."""
    tx = gradtx.sam(gradtx.sgd(RATE), gradtx.sgd(RHO))
    p = jnp.ones(1)
    _, state = tx.update(jnp.full(1, jnp.nan), tx.init(p), p)
    updates, _ = tx.update(jnp.ones(1), state, p)
    np.testing.assert_allclose(updates, [-RATE], rtol=1e-6)


def test_normalized_updates_at_the_edges() -> None:
    """Zero stays zero, with a finite derivative; what overflows has the length 1."""
    tx = gradtx.normalize()

    def f(g: Any) -> Any:
        return tx.update(g, tx.init(g))[0]

    np.testing.assert_array_equal(f(jnp.zeros(2)), [0, 0])
    assert jnp.isfinite(jax.jacobian(f)(jnp.zeros(2))).all()
    np.testing.assert_allclose(f(jnp.float32([3e30, 4e30])), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(f(jnp.float16([300, 400])), [0.6, 0.8], rtol=1e-3)


def test_what_is_missing_is_named() -> None:
    """The gradient function, the parameters, and a period below 1."""
    tx = gradtx.sam(gradtx.sgd(0.1), adversary(), opaque_mode=True)
    ones = jnp.ones(1)
    with pytest.raises(ValueError, match=r"sam: opaque_mode needs .* 'grad_fn'"):
        tx.update(ones, tx.init(ones), ones)
    with pytest.raises(ValueError, match=r"sam: .*parameters"):
        tx.update(ones, tx.init(ones))
    with pytest.raises(ValueError, match="sam: sync_period must be"):
        gradtx.sam(gradtx.sgd(0.1), adversary(), sync_period=0)


def test_the_way_up_averages_over_an_axis() -> None:
    """In opaque mode gradients of the way up are averaged over the batch axis."""
    tx = gradtx.sam(
        gradtx.sgd(1.0), adversary(), opaque_mode=True, batch_axis_name="batch"
    )
    params = jnp.zeros(1)

    def one(g: Any) -> Any:
        return tx.update(g, tx.init(params), params, grad_fn=lambda *_: g)[0]

    updates = jax.vmap(one, axis_name="batch")(jnp.float32([[1], [3]]))
    np.testing.assert_allclose(updates, [[-2], [-2]], rtol=1e-6)
