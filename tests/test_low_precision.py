"""Few bits: where the others go silently wrong, this does not."""

from functools import partial
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx

RATES = {
    "float": lambda x: x,
    "np.float32": np.float32,
    "np.float64 array": np.array,
    "jnp.float32": jnp.float32,
    "jnp.bfloat16": jnp.bfloat16,
    "function": lambda x: lambda _: x,
    "function to jnp.float32": lambda x: lambda _: jnp.float32(x),
    "schedule": gradtx.constant_schedule,
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "make",
    [
        gradtx.scale_by_adam,
        gradtx.scale_by_belief,
        partial(gradtx.scale_by_rms, decay=0.999),
        partial(gradtx.scale_by_stddev, decay=0.999),
    ],
    ids=["adam", "adabelief", "rmsprop", "centered"],
)
def test_the_mean_of_squares_forgets(make: Any, dtype: str) -> None:
    """After 3000 steps of 1 it is 0.950, and 3000 steps of 0 later 0.047.

    In bfloat16 0.999 is 1, so a mean kept in it stands still at 0.5 and never decays.
    """
    tx = make()
    grads = jnp.repeat(jnp.array([1, 0], dtype), 3000)[:, None]

    @jax.jit
    def train(grads: Any) -> Any:
        def body(state: Any, g: Any) -> Any:
            _, state = tx.update(g, state)
            return state, state.nu[0]

        return jax.lax.scan(body, tx.init(grads[0]), grads)[1]

    nu = train(grads)
    assert nu.dtype == jnp.float32
    if make is gradtx.scale_by_belief:  # its surprise is that of a mean near 1
        assert nu[2999] < nu[3100]
        assert nu[-1] < 0.1 * nu[3100]
        return
    high, low = 1 - 0.999**3000, (1 - 0.999**3000) * 0.999**3000
    np.testing.assert_allclose(nu[2999], high, rtol=1e-4)
    np.testing.assert_allclose(nu[-1], low, rtol=1e-3)
    assert (round(high, 3), round(low, 3)) == (0.950, 0.047)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("row", catalogue.METHODS, ids=lambda row: row.name)
@pytest.mark.one_in(16)
def test_nothing_is_nan_in_half_precision(row: Any, dtype: str) -> None:
    """A zero, a tiny and a small gradient: the step is that of float32, rounded.

    In float16 an epsilon of 1e-8 is 0 and the square of 1e-4 is 0.
    """
    tx = row.build()
    g = jnp.array([0, 1e-6, 1e-3, 1e-2, 300], dtype)
    params = jnp.ones(5, dtype)
    updates, _ = tx.update(g, tx.init(params), params)
    wide = g.astype(jnp.float32)
    expected, _ = tx.update(wide, tx.init(jnp.ones(5)), jnp.ones(5))
    assert updates.dtype == dtype
    few = 4 * float(jnp.finfo(dtype).eps)  # every link of a chain rounds once
    least = float(jnp.finfo(dtype).smallest_subnormal)
    got = np.asarray(updates, np.float32)
    np.testing.assert_allclose(got, expected, rtol=few, atol=least)


@pytest.mark.parametrize("b2", [0.999, 0.9999, 0.999999, 0.99999999])
def test_bias_correction_is_exact(b2: float) -> None:
    """With β₂ close to 1 the first step is still the sign: 1 - β₂ᵗ does not cancel."""
    tx = gradtx.scale_by_adam(b1=0.0, b2=b2, eps=0.0)
    g = jnp.float32([1.0, -0.5])
    state = tx.init(g)
    for _ in range(3):
        update, state = tx.update(g, state)
        np.testing.assert_allclose(update, [1, -1], rtol=2e-6)


@pytest.mark.parametrize("b2", [0.0, 0.9, 0.999, 0.9999])
def test_bias_correction_of_traced_decays(b2: float) -> None:
    """A traced β₂ gives what the number gives, to the rounding that it has itself."""
    g = jnp.float32([1.0, -0.5])

    def first(tx: Any) -> Any:
        return tx.update(g, tx.init(g))[0]

    tx = gradtx.scale_by_adam(b1=0.0, b2=b2, eps=0.0)
    np.testing.assert_allclose(jax.jit(first)(tx), [1, -1], rtol=2e-3)


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.one_in(3)
def test_updates_have_the_type_of_their_parameters(kind: str, dtype: str) -> None:
    """Whatever the learning rate is made of, updates and state keep their types."""
    rate = RATES[kind](0.125)
    params = {"w": jnp.ones(2, dtype)}
    for tx in (
        gradtx.adamw(rate),
        gradtx.rmsprop(rate, momentum=0.9),
        gradtx.lookahead(gradtx.sgd(rate, 0.9), 1, np.float32(0.5)),
        gradtx.add_decayed_weights(rate),
    ):
        state = tx.init(params)
        updates, new = jax.eval_shape(tx.update, params, state, params)
        assert problems.shapes(updates) == problems.shapes(params)
        assert problems.shapes(new) == problems.shapes(state)
    tx = gradtx.sgd(rate)
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_array_equal(updates["w"], -0.125)


def test_an_array_as_learning_rate_compiles_once() -> None:
    """With bfloat16 parameters and an array as rate, the second step is no new one."""
    traces = []
    for tx in (
        gradtx.rmsprop(jnp.float32(0.1), momentum=0.9),
        gradtx.adam(lambda count: 0.1 * 0.99**count),
        gradtx.lookahead(gradtx.adam(jnp.float32(0.1)), 2, jnp.float32(0.5)),
    ):

        @jax.jit
        def step(params: Any, state: Any, tx: Any = tx) -> Any:
            traces.append(1)
            updates, state = tx.update(params, state, params)
            return gradtx.apply_updates(params, updates), state

        params = jnp.ones((4, 4), jnp.bfloat16)
        state = tx.init(params)
        for _ in range(3):
            params, state = step(params, state)
    assert len(traces) == 3


def test_wide_gradients_of_narrow_parameters() -> None:
    """Gradients of another precision than their parameters: the update fits those."""
    for g_type, p_type in (("float32", "bfloat16"), ("bfloat16", "float32")):
        params, g = jnp.ones(2, p_type), jnp.array([1, -3], g_type)
        tx = gradtx.adam(0.1)
        state = tx.init(params)
        updates, new = tx.update(g, state, params)
        assert updates.dtype == p_type
        assert problems.shapes(new) == problems.shapes(state)


def test_state_types_can_be_chosen() -> None:
    """`mu_dtype` and `nu_dtype` say what the means are kept in; defaults are safe."""
    params = jnp.ones(2, jnp.bfloat16)
    for make in (gradtx.scale_by_adam, gradtx.scale_by_belief):
        state = make().init(params)
        assert (state.mu.dtype, state.nu.dtype) == (jnp.bfloat16, jnp.float32)
        tx = make(mu_dtype=jnp.float32, nu_dtype="float32")
        _, state = tx.update(params, tx.init(params))
        assert (state.mu.dtype, state.nu.dtype) == (jnp.float32, jnp.float32)
    state = gradtx.scale_by_lion(mu_dtype="float32").init(params)
    assert state.mu.dtype == jnp.float32
    state = gradtx.scale_by_adam().init(jnp.ones(2, jnp.complex64))
    assert (state.mu.dtype, state.nu.dtype) == (jnp.complex64, jnp.float32)


@pytest.mark.parametrize("inside", [True, False])
def test_the_variance_of_steady_gradients(*, inside: bool) -> None:
    """Centered RMSProp on gradients that do not change stays finite and bounded.

    v - m² rounds to below zero; without the maximum the root is NaN, or near 0.
    """
    eps = 1e-10 if inside else 1e-5
    tx = gradtx.rmsprop(1e-3, 0.97, eps, centered=True, eps_in_sqrt=inside)
    rng = np.random.default_rng(0)
    g = jnp.float32(rng.normal(size=512))

    @jax.jit
    def train(params: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            params, state = carry
            updates, state = tx.update(g, state, params)
            return (params + updates, state), jnp.abs(updates).max()

        return jax.lax.scan(body, (params, tx.init(params)), length=1500)

    (params, state), steps = train(jnp.zeros(512))
    assert problems.all_finite((params, state))
    assert steps.max() <= 1.01 * 1e-3 * jnp.abs(g).max() / 1e-5


OUT_OF_RANGE = {
    "sgd": lambda: gradtx.sgd(2.0),
    "adam": lambda: gradtx.adam(1e6),
    "muon": lambda: gradtx.contrib.muon(1e6),
    "shampoo": lambda: gradtx.shampoo(1e6),
    "chain": lambda: gradtx.chain(gradtx.scale(3.0), gradtx.scale(-1.0)),
    "with_compensation": lambda: gradtx.with_compensation(gradtx.sgd(2.0)),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
@pytest.mark.one_in(2)
def test_an_update_beyond_float16_is_its_largest(name: str) -> None:
    """A finite gradient never gives infinity, and an infinite one is not hidden."""
    p = jnp.ones((2, 2), jnp.float16)
    g = jnp.full_like(p, 60000)
    tx = OUT_OF_RANGE[name]()
    u = tx.update(g, tx.init(p), p)[0]
    assert u.dtype == p.dtype
    assert jnp.all((jnp.abs(u) >= 60000) & jnp.isfinite(u))
    if name == "sgd":
        assert jnp.all(tx.update(g * jnp.inf, tx.init(p), p)[0] == -jnp.inf)


@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200])
@pytest.mark.one_in(2)
def test_a_norm_over_two_precisions(size: float) -> None:
    """Nothing overflows on the way where float64 is beside float32, jitted or not."""
    with jax.enable_x64(True):  # noqa: FBT003
        a = 3.0 if size > 0.5 else 0.0
        tree = {"a": jnp.float32([0.0, a]), "b": jnp.float64([4 * size, 0.0])}
        right = np.hypot(a, 4 * size)
        tx = gradtx.normalize_by_update_norm()
        for run in (lambda f: f, jax.jit):
            np.testing.assert_allclose(run(gradtx.tree.norm)(tree), right, rtol=1e-12)
            u, _ = run(tx.update)(tree, tx.init(tree))
            assert all(jnp.all(jnp.isfinite(x)) for x in u.values())
