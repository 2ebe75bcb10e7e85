"""What is peculiar to KL-Shampoo and KL-SOAP."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods import matrix
from methods.following import assert_follows, square, updates_of

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def test_every_setting_is_that_of_the_paper() -> None:
    """With another start, and normalized, KL-SOAP follows the paper."""
    settings: dict[str, Any] = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.7}
    more = {"init_factor": 3.0, "normalize_grads": True, "precondition_frequency": 3}
    assert_follows(settings, gradtx.kl_soap, matrix.kl_soap, **more)


def test_the_second_step_is_of_the_first_eigenvalues() -> None:
    """Whatever the bases, u = m / (init + ε) where all eigenvalues are as at first."""
    for init in (0.1, 2.0):
        tx = gradtx.scale_by_kl_shampoo(0.9, init_factor=init, eps=0.5)
        first, second = updates_of(tx, [square(0), square(1)])
        assert (first == 0).all()
        np.testing.assert_allclose(second, 0.1 * square(1) / (init + 0.5), rtol=1e-10)


def test_no_bound_and_damping() -> None:
    """Without a bound the inverse roots go above it, and damping keeps them down."""
    tiny = [1e-4 * square(seed) for seed in range(6)]

    def roots(**settings: Any) -> float:
        tx = gradtx.scale_by_kl_shampoo(shampoo_beta=0.1, **settings)
        state = tx.init(jnp.asarray(tiny[0]))
        with jax.disable_jit():
            for g in tiny:
                _, state = tx.update(jnp.asarray(g), state)
        return max(float(x.max()) for x in jax.tree.leaves(state.inverse_roots))

    assert roots() == 10
    free = roots(clamp=None)
    assert free > 10
    assert roots(clamp=None, damping=0.1) < free


def test_three_axes_in_the_order_of_the_program() -> None:
    """Of three axes each factor is whitened by the others, the first by a new root."""
    rng = np.random.default_rng(0)
    grads = [rng.normal(size=(3, 3, 3)) for _ in range(3)]
    tx = gradtx.scale_by_kl_shampoo(shampoo_beta=0.5, clamp=None)
    state = tx.init(jnp.asarray(grads[0]))
    with jax.disable_jit():
        for g in grads[:2]:
            old = state
            _, state = tx.update(jnp.asarray(g), state)
    ((q0, q1, q2),) = jax.tree.map(lambda x: np.asarray(x[0]), old.bases)
    g = grads[1]
    w = np.einsum("abc,ax,by,cz->xyz", g, q0, q1, q2) ** 2
    x = [np.full(3, 0.1)] * 3
    third = 0.5 * x[2] + 0.5 * np.einsum("xyz,x,y->z", w, 1 / x[0], 1 / x[1]) / 9
    second = 0.5 * x[1] + 0.5 * np.einsum("xyz,x,z->y", w, 1 / x[0], 1 / third) / 9
    first = 0.5 * x[0] + 0.5 * np.einsum("xyz,y,z->x", w, 1 / second, 1 / x[2]) / 9
    expected = [first, second, third]
    for got, want in zip(state.inverse_roots[0], expected, strict=True):
        np.testing.assert_allclose(got[0], want**-0.5, rtol=1e-10)
    inner = q1 / second @ q1.T, q2 / x[2] @ q2.T
    s = np.einsum("abc,bd,ce,xde->ax", g, *inner, g) / 9
    np.testing.assert_allclose(
        state.factors[0][0][0],
        0.5 * np.asarray(old.factors[0][0][0]) + 0.5 * s,
        rtol=1e-10,
    )


def test_only_matrices_go_to_it() -> None:
    """Axes of length 1 do not count; what has no short axis goes to AdamW."""
    shapes = {"a": (4, 1, 4), "b": (1, 4), "c": (9, 9), "d": (4, 9), "e": (2, 2, 2, 2)}
    params = {k: jnp.ones(s) for k, s in shapes.items()}
    state = gradtx.kl_shampoo(0.1, max_precond_dim=8).init(params)
    mu = state.inner_states["kl"].inner_state[0].mu
    assert {k for k, x in mu.items() if jax.tree.leaves(x)} == {"a", "d"}
    tx = gradtx.scale_by_kl_shampoo()
    with pytest.raises(ValueError, match=r"\['e'\].*dimension numbers"):
        tx.init({"e": params["e"]})


def test_the_kind_of_leaf_can_be_told() -> None:
    """Dimension numbers say which leaves are matrices, and of which axes."""
    params = {"w": jnp.ones((2, 3, 3)), "v": jnp.ones((3, 3))}
    numbers = {"w": gradtx.MuonDimensionNumbers(1, 2), "v": None}
    tx = gradtx.kl_soap(0.1, weight_dimension_numbers=numbers)
    state = tx.init(params)
    direction = state.inner_states["kl"].inner_state[0]
    assert [x.shape for x in jax.tree.leaves(direction.bases)] == [(2, 3, 3)] * 2
    grads = jax.tree.map(jnp.ones_like, params)
    updates, _ = jax.jit(tx.update)(grads, state, params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
