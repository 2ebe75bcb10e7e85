"""What is peculiar to the line searches."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import compiled

import gradtx


def valley(x, tilt=0.0):
    """Return Rosenbrock's function, with a tilt."""
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 + tilt * x[0]


SEARCHES = {
    "backtracking": gradtx.scale_by_backtracking_linesearch(30, store_grad=True),
    "zoom": gradtx.scale_by_zoom_linesearch(30),
}
START = jnp.array([-1.2, 1.0])


@pytest.mark.parametrize("name", SEARCHES)
def test_the_conditions_hold_and_the_state_knows_the_end(name):
    """The step falls enough, for zoom the slope flattens; value and gradient fit."""
    tx, x = gradtx.chain(gradtx.sgd(1.0), SEARCHES[name]), START
    value, grad = jax.value_and_grad(valley)(x)
    extra = {"value": value, "grad": grad, "value_fn": valley, "unknown": 3}
    u, state = tx.update(grad, tx.init(x), x, **extra)
    new, slope = gradtx.value_and_grad_from_state(valley)(x + u, state=state)
    step, fall = state[-1].learning_rate, -jnp.sum(grad**2)
    assert new <= value + 1e-4 * step * fall
    if name == "zoom":
        assert abs(jnp.sum(-grad * slope)) <= 0.9 * abs(fall)
    np.testing.assert_allclose(new, valley(x + u), rtol=1e-5)
    np.testing.assert_allclose(slope, jax.grad(valley)(x + u), rtol=1e-3, atol=1e-3)


def test_eager_lbfgs_compiles_once_and_passes_on_what_is_named():
    """Outside of jit the second step compiles nothing; `tilt` reaches the objective."""
    tx, x, programs = gradtx.lbfgs(), START, []
    state = tx.init(x)
    for _ in range(3):
        value, grad = jax.value_and_grad(valley)(x, 0.5)
        extra = {"value": value, "grad": grad, "value_fn": valley, "tilt": 0.5}
        before = compiled()
        u, state = tx.update(grad, state, x, **extra, other=1)
        programs.append(compiled() - before)
        x = gradtx.apply_updates(x, u)
    assert programs[1:] == [0, 0]
    np.testing.assert_allclose(state[-1].value, valley(x, 0.5), rtol=1e-5)


def test_missing_arguments_are_named():
    """Without `value_fn` the search says what it needs."""
    tx = SEARCHES["zoom"]
    with pytest.raises(ValueError, match="value_fn"):
        tx.update(START, tx.init(START), START, value=1.0, grad=START)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", SEARCHES)
def test_what_is_no_height_is_refused(name, jit):
    """Pairs, vectors, complex numbers and nothing: said in our words, jitted or not."""
    tx = SEARCHES[name]
    wrong = [lambda x: (x[0], x), lambda x: x, lambda x: x[0] * 1j, lambda _: None]
    for value_fn in wrong:
        update = partial(tx.update, value=1.0, grad=START, value_fn=value_fn)
        with pytest.raises(ValueError, match="value_fn must return one real number"):
            (partial(jax.eval_shape, update) if jit else update)(
                -START, tx.init(START), START
            )


def test_a_failed_search_says_what_it_met(capfd):
    """Uphill there is no step: asked to, it prints the slope that it started with."""
    tx = gradtx.scale_by_zoom_linesearch(3, verbose=True)
    x = jnp.array([2.0, 0.0])
    given = {"value": 4.0, "grad": 2 * x, "value_fn": lambda p: jnp.sum(p * p)}
    tx.update(x, tx.init(x), x, **given)
    jax.effects_barrier()
    assert "at 0 the slope is 8.0, and must be negative" in capfd.readouterr().out
    tx.update(-x, tx.init(x), x, **given)
    jax.effects_barrier()
    assert not capfd.readouterr().out
