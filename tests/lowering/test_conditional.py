"""What is done in some steps only: only then, in place, and with derivatives."""

import gc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx.core.apply_updates import _SUMS, known_sum, remember_sum
from gradtx.lowering.conditional import cond_inplace

YES, NO = True, False


def test_runs_only_when_the_condition_holds() -> None:
    """The tree is changed where the condition holds, and kept where it does not."""

    def run(now: Any) -> Any:
        x, (n, nothing) = now
        return x * 2, (n + 1, nothing)

    kept = (jnp.arange(3.0), (jnp.int32(4), None))
    for made in (lambda c: c, jnp.asarray):
        for wrap in (lambda f: f, jax.jit):
            step = wrap(lambda c, kept: cond_inplace(c, run, kept))
            x, (n, _) = step(made(YES), kept)
            np.testing.assert_array_equal(x, [0, 2, 4])
            assert n == 5
            x, (n, _) = step(made(NO), kept)
            np.testing.assert_array_equal(x, [0, 1, 2])
            assert n == 4


def test_derivatives_are_those_of_what_is_done() -> None:
    """Backwards, forwards, twice and in batches, derivatives follow the condition."""

    def height(c: Any, x: Any, w: Any) -> Any:
        around = w * x
        y = cond_inplace(c, lambda y: y * around + jnp.sin(w), x)
        return jnp.sum(y * y)

    def plain(c: Any, x: Any, w: Any) -> Any:
        y = jnp.where(c, x * w * x + jnp.sin(w), x)
        return jnp.sum(y * y)

    x, w, flags = jnp.array([0.5, -2.0]), 0.7, jnp.array([True, False])
    for derive in (jax.grad, jax.jacfwd, jax.hessian):
        ours, theirs = (
            jax.jit(jax.vmap(derive(f, (1, 2)), (0, None, None)))(flags, x, w)
            for f in (height, plain)
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, theirs
        )


def test_no_gradients_of_integers_go_through() -> None:
    """What JAX gives for an integer's gradient is handed back as it is."""
    none = np.zeros(2, jax.dtypes.float0)
    step = jax.jit(lambda c: cond_inplace(c, lambda now: now, (none, jnp.ones(2)))[0])
    assert step(YES).dtype == jax.dtypes.float0


def test_another_structure_or_shape_is_refused() -> None:
    """A result that could not take the place of what was kept is refused."""
    for run in (lambda x: (x, x), lambda x: x[:2]):
        with pytest.raises(TypeError):
            jax.jit(lambda c, run=run: cond_inplace(c, run, jnp.ones(3)))(YES)


def test_a_remembered_sum_is_found_by_its_parts_alone() -> None:
    """Only the same parameter and the same update have the sum, and only traced."""

    def step(p: Any, u: Any) -> Any:
        u, other = u + 1, u + 1
        marked = jnp.zeros(())
        remember_sum(p, u, marked)
        assert known_sum(p, u) is marked
        assert gradtx.apply_updates({"w": p}, {"w": u})["w"] is marked
        assert known_sum(p, other) is None
        assert known_sum(other, u) is None
        return u

    jax.make_jaxpr(step)(1.0, 2.0)
    p, u = jnp.ones(()), jnp.ones(())
    remember_sum(p, u, p)
    assert known_sum(p, u) is None


@pytest.mark.exhaustive
def test_nothing_is_remembered_for_longer_than_a_program_is_traced() -> None:
    """When a step has been compiled its sums are forgotten."""
    params = problems.small_tree()
    for inner in (gradtx.lookahead, gradtx.apply_if_finite):
        tx = inner(gradtx.adam(0.1), 2, *([0.5] if inner is gradtx.lookahead else []))

        def step(params: Any, state: Any, tx: Any = tx) -> Any:
            updates, state = tx.update(params, state, params)
            assert len(_SUMS) >= len(params)
            return gradtx.apply_updates(params, updates), state

        jax.jit(step)(params, tx.init(params))
        gc.collect()
        assert not _SUMS


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.accumulate(gradtx.adamw(0.1), 2),
        gradtx.lookahead(gradtx.adam(0.1), 2, 0.3),
        gradtx.apply_if_finite(gradtx.adam(0.1), 3),
        gradtx.conditionally_mask(gradtx.adam(0.1), lambda step: step % 2 == 0),
        gradtx.conditionally_transform(gradtx.adam(0.1), lambda step: step % 2 == 0),
        gradtx.chain(gradtx.accumulate(gradtx.adam(0.1), 2), gradtx.scale(0.5)),
    ],
    ids=str,
)
@pytest.mark.one_in(3)
def test_who_adds_the_update_does_not_matter(tx: Any) -> None:
    """A sum made within the step is the one that another library makes outside."""

    def path(add: Any) -> Any:
        @jax.jit
        def step(g: Any, p: Any, state: Any) -> Any:
            updates, state = tx.update(g, state, p)
            return add(p, updates), state

        params = problems.small_tree()
        state = tx.init(params)
        for seed in range(5):
            params, state = step(problems.noise(params, seed), params, state)
        return params

    problems.assert_close(path(gradtx.apply_updates), path(optax.apply_updates), 1e-6)
