"""Caution: which entries are kept, and how what is left is scaled."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx import contrib

# After the first gradient the momentum still goes its way.
FIRST, SECOND = jnp.float32([1, 1, 1, -1]), jnp.float32([0.5, -0.5, 0, -1])


def second_update(tx: Any) -> Any:
    """Return the second update of a transformation."""
    p = jnp.zeros(4)
    _, state = tx.update(FIRST, tx.init(p), p)
    return tx.update(SECOND, state, p)[0]


@pytest.mark.parametrize(
    ("rescale", "factor"), [("mean", 2.0), ("count", 4 / 3), (None, 1.0)]
)
def test_only_what_goes_downhill_is_kept(rescale: Any, factor: float) -> None:
    """Entries against the gradient, or without one, are 0; the rest is scaled."""
    sgd = gradtx.sgd(0.5, momentum=0.9)
    plain = second_update(sgd)
    kept = np.float32([1, 0, 0, 1])
    got = second_update(gradtx.cautious(sgd, rescale))
    np.testing.assert_allclose(got, factor * plain * kept, rtol=1e-6)
    assert (plain[:3] < 0).all()


def test_a_direction_goes_along_the_gradient() -> None:
    """Before the learning rate the signs are the other way round."""
    before = gradtx.chain(
        gradtx.cautious(gradtx.trace(0.9), direction=True), gradtx.scale(-0.5)
    )
    after = gradtx.cautious(gradtx.sgd(0.5, momentum=0.9))
    np.testing.assert_allclose(second_update(before), second_update(after))


def test_ascent_before_the_rate() -> None:
    """A negative rate within is refused, with what to do, and that goes uphill."""
    with pytest.raises(ValueError, match=r"rate is -0.1 within.* direction=True"):
        gradtx.cautious(gradtx.adam(-0.1))
    up, down = (
        gradtx.chain(
            gradtx.cautious(gradtx.trace(0.9), direction=True),
            gradtx.scale_by_learning_rate(rate),
        )
        for rate in (-0.5, 0.5)
    )
    np.testing.assert_allclose(second_update(up), -second_update(down))


def test_at_the_first_step_nothing_is_left_out() -> None:
    """Where there is a gradient, however small, the first step goes along it."""
    p, g = jnp.zeros(4), jnp.float32([1e-30, -2, 0, 3])
    for method in (gradtx.sgd(0.1, momentum=0.9), gradtx.lion(0.1)):
        tx = gradtx.cautious(method)
        got, _ = tx.update(g, tx.init(p), p)
        expected, _ = method.update(g, method.init(p), p)
        np.testing.assert_allclose(got, expected * 4 / 3, rtol=1e-6)


def test_where_nothing_is_left_it_stays() -> None:
    """If no entry agrees, the update is 0, and `min_mean` bounds the scale."""
    up = gradtx.scale(1.0)
    assert (gradtx.cautious(up).update(FIRST, (), FIRST)[0] == 0).all()
    one = jnp.zeros(4).at[0].set(-1.0)
    mixed = gradtx.cautious(gradtx.stateless(lambda g, _: g * FIRST), min_mean=0.5)
    got, _ = mixed.update(one, mixed.init(one), one)
    np.testing.assert_array_equal(got, jnp.zeros(4))
    got, _ = gradtx.cautious(gradtx.scale(-1.0), min_mean=0.5).update(one, (), one)
    np.testing.assert_array_equal(got, -2 * one)


def test_around_schedule_free_it_acts_on_the_base() -> None:
    """The averaged weights stay those that Schedule-Free keeps."""
    base = gradtx.adam(0.1, b1=0.5)
    one = gradtx.cautious(gradtx.schedule_free(base, 0.1))
    other = gradtx.schedule_free(gradtx.cautious(base), 0.1)
    params = problems.small_tree()
    state, expected = one.init(params), other.init(params)
    for t in range(3):
        grads = problems.noise(params, t)
        u, state = one.update(grads, state, params)
        want, expected = other.update(grads, expected, params)
        problems.assert_close((u, state), (want, expected))
        params = gradtx.apply_updates(params, u)
    assert gradtx.schedule_free_eval_params(state, params)
    assert gradtx.cautious(contrib.schedule_free_adamw()).init(params).z is not None


def test_it_takes_any_pair() -> None:
    """A transformation of optax is wrapped like ours."""
    ours = gradtx.cautious(gradtx.sgd(0.5, momentum=0.9))
    theirs = gradtx.cautious(optax.sgd(0.5, momentum=0.9))
    np.testing.assert_allclose(second_update(ours), second_update(theirs))


def test_another_scale_is_refused() -> None:
    """The ways to rescale are named."""
    with pytest.raises(ValueError, match=r"cautious.*rescale.*'sum'"):
        gradtx.cautious(gradtx.sgd(0.1), "sum")
