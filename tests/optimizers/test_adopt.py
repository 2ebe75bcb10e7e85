"""What is peculiar to ADOPT, ACProp and the two AdEMAMix."""

import beside_optax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest
from methods import adam as papers

import gradtx
from gradtx import contrib


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adopt", {}),
        ("adopt", {"nesterov": True, "use_clipping": False}),
        ("adopt", {"clip_value_fn": lambda count: 0.5 * (count + 1)}),
        ("acprop", {"weight_decay": 0.1}),
        ("ademamix", {"b3": lambda count: 0.9 - 0.1 * count, "alpha": lambda c: c}),
        ("simplified_ademamix", {"alpha": lambda count: 2.0 * count}),
        ("madgrad", {"weight_decay": 0.1}),
        ("cocob", {"weight_decay": 0.1}),
    ],
)
@pytest.mark.one_in(12)
def test_beside_optax(name, settings):
    """The steps are optax's, over several leaves."""
    settings = {"learning_rate": beside_optax.falling, **settings}
    ours, theirs = (getattr(x, name)(**settings) for x in (contrib, optax.contrib))
    # optax takes the root of the count in float32 for MADGRAD.
    beside_optax.assert_same(ours, theirs, rtol=1e-6 if name == "madgrad" else 1e-12)


def test_adopt_looks_first():
    """The first step of ADOPT moves nothing, the second has the size of its rate."""
    tx, p = contrib.adopt(0.1, b1=0.0), jnp.float32([1, -2])
    state = tx.init(p)
    u, state = tx.update(p, state, p)
    np.testing.assert_array_equal(u, 0)
    u, state = tx.update(p, state, p)
    np.testing.assert_allclose(u, [-0.1, 0.1], rtol=1e-6)


def test_adopt_shortens_complex_entries():
    """A complex entry is clipped along its direction, at the bound."""
    tx, p = contrib.scale_by_adopt(b1=0.0), jnp.complex64([1, 1j, 3 + 4j])
    _, state = tx.update(p / 10, tx.init(p), p)
    u, _ = tx.update(p, state, p)
    np.testing.assert_allclose(u, p / jnp.abs(p), rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_the_schedules_of_ademamix():
    """α and β₃ are asked for the number of steps taken; that can be set back."""
    settings = {"b3": lambda t: 0.5 + 0.1 * t, "alpha": lambda t: 2.0 * t}
    p0, grads = np.array([1.0, -2.0]), np.random.default_rng(0).normal(size=(4, 2))
    expected = papers.ademamix(p0, grads, learning_rate=0.1, **settings)
    tx, p, path = contrib.ademamix(0.1, **settings), jnp.asarray(p0), []
    state = tx.init(p)
    for g in grads:
        u, state = tx.update(jnp.asarray(g), state, p)
        p = p + u
        path.append(p)
    np.testing.assert_allclose(path, expected, rtol=1e-12)
    tx = contrib.scale_by_ademamix(**settings)
    back = state[0]._replace(count_m2=jnp.int32(0))
    _, new = tx.update(jnp.ones(2), back)
    assert (int(new.count), int(new.count_m2)) == (5, 1)
    np.testing.assert_allclose(new.m2, 0.5 * back.m2 + 0.5)


def test_the_slow_mean_in_few_bits():
    """The slow mean of bfloat16 parameters is float32, in which 0.9999 is not 1."""
    tx, p = contrib.scale_by_ademamix(), jnp.ones(1, jnp.bfloat16)
    state = tx.init(p)
    assert (state.m1.dtype, state.m2.dtype) == (jnp.bfloat16, jnp.float32)
    state = state._replace(m2=jnp.ones(1))
    for _ in range(10):
        _, state = tx.update(jnp.zeros(1, jnp.bfloat16), state)
    np.testing.assert_allclose(state.m2, 0.9999**10, rtol=1e-6)


def test_cocob_is_free_of_scale():
    """Multiplying all gradients by a number changes no step."""
    tx, p = contrib.cocob(), jnp.float32([1, -2])
    states = [tx.init(p), tx.init(p)]
    for t in range(3):
        u, states[0] = tx.update(p + t, states[0], p)
        v, states[1] = tx.update(1e6 * (p + t), states[1], p)
        np.testing.assert_allclose(v, u, rtol=1e-5)
        p = p + u
    assert (states[0][-1].reward > 0).any()


def test_cocob_of_complex_parameters():
    """Refused with what helps, which does."""
    tx, p = contrib.cocob(), jnp.complex64([1 + 1j])
    with pytest.raises(ValueError, match="split_real_and_imaginary"):
        tx.update(p, tx.init(p), p)
    split = gradtx.split_real_and_imaginary(tx)
    u, _ = split.update(p, split.init(p), p)
    assert u.dtype == jnp.complex64


def test_madgrad_pulls_towards_the_start():
    """Without gradients the parameters go back to where they began."""
    tx, p0 = contrib.madgrad(0.1, momentum=0.5), jnp.float32([1, -2])
    u, _ = tx.update(jnp.zeros(2), tx.init(p0), p0 + 1)
    np.testing.assert_allclose(u, -0.5, rtol=1e-6)
