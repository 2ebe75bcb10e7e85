"""What is peculiar to PSGD Kron."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from methods.following import square

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def fitted(q: list[Any], x: Any, v: Any, rate: float) -> list[Any]:
    """Fit two triangular factors, as Li (1512.04202) and Li (2402.11858) do."""
    x = x + 2.0**-11.5 * np.mean(np.abs(x)) * v
    a = q[0] @ x @ q[1].T
    b = np.linalg.inv(q[0]).T @ v @ np.linalg.inv(q[1])
    new = []
    for i, factor in enumerate(q):
        one, two = (a @ a.T, b @ b.T) if i == 0 else (a.T @ a, b.T @ b)
        total = one + two
        x = total[:, np.argmax(np.sum(total**2, 0))]
        y = total @ x
        bound = np.linalg.norm(total @ y) / np.linalg.norm(y)
        new.append(factor - rate * np.triu(one - two) @ factor / bound)
    return new


def test_follows_the_papers() -> None:
    """With the random numbers given, updates and factors are those of the papers."""
    tx = gradtx.scale_by_psgd_kron(
        b1=0.8, preconditioner_lr=0.3, preconditioner_init_scale=0.5
    )
    p, q, m = jnp.zeros((4, 4)), [np.sqrt(0.5) * np.eye(4)] * 2, 0.0
    state = tx.init(p)
    with jax.disable_jit():
        for t in range(1, 6):
            g, v = square(t), square(100 + t)
            u, state = tx.update(
                jnp.asarray(g), state, p, probes=jnp.asarray(v), balance=t == 3
            )
            m = 0.8 * m + 0.2 * g
            mean = m / (1 - 0.8**t)
            if t == 3:
                sizes = [np.abs(x).max() for x in q]
                q = [
                    x * np.sqrt(np.prod(sizes)) / s
                    for x, s in zip(q, sizes, strict=True)
                ]
            q = fitted(q, mean, v, 0.3)
            expected = q[0].T @ q[0] @ mean @ q[1].T @ q[1]
            rms = np.sqrt(np.mean(expected**2))
            np.testing.assert_allclose(u, expected / max(1, rms / 1.1), atol=2e-7)
    for got, want in zip(state.factors[0], q, strict=True):
        np.testing.assert_allclose(got[0], want, atol=2e-7)


def whitened(scale: float) -> Any:
    """Return the updates of many gradients of one distribution, after fitting."""
    tx = gradtx.scale_by_psgd_kron(
        b1=0.0, preconditioner_update_probability=1.0, preconditioner_lr=0.1
    )
    rng = np.random.default_rng(0)
    mix = square(1), square(2)
    grads = jnp.asarray([mix[0] @ x @ mix[1] for x in rng.normal(size=(1500, 4, 4))])

    def body(state: Any, g: Any) -> Any:
        u, state = tx.update(g * scale, state)
        return state, u

    return jax.jit(lambda s: jax.lax.scan(body, s, grads)[1])(tx.init(grads[0]))[500:]


@pytest.mark.exhaustive
def test_what_comes_out_is_white() -> None:
    """After the fit E[u uᵀ] is nearly the identity, whatever the gradients' size."""
    for scale in (1.0, 1e-3):
        u = whitened(scale).reshape(-1, 16)
        covariance = u.T @ u / len(u)
        assert np.abs(covariance - np.eye(16)).max() < 0.4, scale
        assert abs(np.trace(covariance) / 16 - 1) < 0.15


def test_how_often_it_is_fitted_is_counted() -> None:
    """With a share of 0.4 every third step is due; the schedule falls as is said."""
    tx = gradtx.scale_by_psgd_kron(preconditioner_update_probability=0.4)
    state, due = tx.init(jnp.ones((4, 4))), []
    with jax.disable_jit():
        for seed in range(6):
            _, state = tx.update(jnp.asarray(square(seed)), state)
            due.append(int(state.update_counter) == 0)
    assert due == [False, False, True] * 2
    share = gradtx.preconditioner_update_schedule()
    expected = np.clip(np.exp(-0.001 * (np.array([1, 600, 9000]) - 500)), 0.03, 1)
    np.testing.assert_allclose(share(np.array([0, 599, 8999])), expected, rtol=1e-12)


def test_the_key_decides() -> None:
    """The same key draws the same numbers, another key others."""

    def run(key: Any) -> Any:
        tx = gradtx.scale_by_psgd_kron(key=key)
        with jax.disable_jit():
            u, _ = tx.update(jnp.asarray(square(0)), tx.init(jnp.ones((4, 4))))
        return np.asarray(u)

    np.testing.assert_array_equal(run(3), run(jax.random.key(3)))
    assert (run(3) != run(4)).any()


def test_which_axes_are_diagonal() -> None:
    """Long axes, those of vectors, and by mode the longest or all: a diagonal."""

    def kinds(shape: tuple[int, ...], **settings: Any) -> list[int]:
        state = gradtx.scale_by_psgd_kron(**settings).init(jnp.ones(shape))
        return [x.ndim - 1 for x in state.factors[0]]

    assert kinds((4, 6)) == [2, 2]
    assert kinds((4, 6), max_size_triangular=4) == [2, 1]
    assert kinds((4, 4), memory_save_mode="one_diag") == [2, 1]
    assert kinds((4, 6, 3), memory_save_mode="one_diag") == [2, 1, 2]
    assert kinds((4, 6), memory_save_mode="all_diag") == [1, 1]
    assert kinds((4,)) == [1]
    assert kinds((4,), min_ndim_triangular=1) == [2]
    assert kinds((1, 4)) == [1, 2]
    assert kinds(()) == [1]
    with pytest.raises(ValueError, match=r"memory_save_mode.*'both'"):
        gradtx.scale_by_psgd_kron(memory_save_mode="both")


def test_no_gradient_teaches_nothing() -> None:
    """A block of zeros leaves its factors as they are."""
    tx = gradtx.scale_by_psgd_kron(b1=0.0)
    state = tx.init(jnp.ones((4, 4)))
    with jax.disable_jit():
        u, new = tx.update(jnp.zeros((4, 4)), state)
    assert (u == 0).all()
    for one, other in zip(state.factors[0], new.factors[0], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_optimizer_descends_along_it() -> None:
    """`psgd_kron` decays beside the direction of `scale_by_psgd_kron`."""
    params, g = jnp.asarray(square(0)), jnp.asarray(square(1))
    tx, direction = gradtx.psgd_kron(0.1, weight_decay=0.5), gradtx.scale_by_psgd_kron()
    with jax.disable_jit():
        updates, _ = tx.update(g, tx.init(params), params)
        u, _ = direction.update(g, direction.init(params), params)
    np.testing.assert_allclose(updates, -0.1 * (u + 0.5 * params), rtol=1e-10)


@pytest.mark.exhaustive
def test_a_flag_among_the_extra_arguments_is_not_lost() -> None:
    """Python's True reaches the update outside of jit as it does within."""
    tx = gradtx.scale_by_psgd_kron(b1=0.8, preconditioner_lr=0.3)
    p, g = jnp.zeros((2, 3)), jnp.arange(6.0).reshape(2, 3)
    state = tx.init(p)
    _, state = tx.update(g, state, p, probes=g + 1, balance=False)
    run = {}
    for flag in (True, False):
        _, one = tx.update(g, state, p, probes=g + 1, balance=flag)
        _, other = tx.update(g, state, p, probes=g + 1, balance=jnp.array(flag))
        problems.assert_close(one.factors, other.factors, rtol=1e-12)
        run[flag] = np.asarray(one.factors[0][0])
    assert not np.allclose(run[True], run[False], rtol=1e-6)
