"""GaLore against optax, which follows the authors' program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx


@pytest.mark.parametrize("shape", [(8, 4), (4, 8)])
@pytest.mark.one_in(2)
def test_galore_moves_as_optax_does(shape: tuple[int, int]) -> None:
    """Through a change of the subspace the parameters are optax's, to rounding."""
    settings = {"rank": 2, "update_proj_gap": 2, "weight_decay": 0.1}
    ours, theirs = (
        lib.galore(0.1, **settings) for lib in (gradtx.contrib, optax.contrib)
    )
    p = q = {"w": jax.random.normal(jax.random.key(0), shape), "b": jnp.ones(3)}
    state, other = ours.init(p), theirs.init(q)
    for i in range(4):
        key = jax.random.key(i + 1)
        g = {"w": jax.random.normal(key, shape), "b": jnp.arange(3.0)}
        u, state = ours.update(g, state, p)
        v, other = theirs.update(g, other, q)
        p, q = gradtx.apply_updates(p, u), optax.apply_updates(q, v)
    for name in p:
        np.testing.assert_allclose(p[name], q[name], rtol=1e-4, atol=1e-5)


def test_leaves_that_are_no_matrix_or_not_there() -> None:
    """Scalars, empty leaves and None pass, and keep their types."""
    params = {"s": jnp.ones(()), "e": jnp.ones((0, 4)), "n": None}
    tx = gradtx.contrib.galore(0.1, rank=2)
    updates, _ = tx.update(params, tx.init(params), params)
    assert updates["e"].shape == (0, 4)
    assert updates["n"] is None
    assert np.isfinite(updates["s"])


@pytest.mark.parametrize("spec", [("d", None), (None, "d")])
def test_the_state_of_spread_matrices_keeps_its_place(spec: tuple[Any, Any]) -> None:
    """P and the state lie as rows or columns do; the second step compiles nothing."""
    over = problems.mesh(AxisType.Auto)
    tx, programs = gradtx.contrib.galore(0.1, rank=2), 0
    update = jax.jit(tx.update)
    for init in (tx.init, jax.jit(tx.init)):
        matrix = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
        params = jax.device_put(matrix, NamedSharding(over, PartitionSpec(*spec)))
        state = init(params)
        for _ in range(2):
            (_, (_, mu, nu), projector), *_ = state
            for x, axes in ((projector, (spec[0], None)), (mu, (None, spec[1]))):
                place = NamedSharding(over, PartitionSpec(*axes))
                assert x.sharding.is_equivalent_to(place, 2)
            assert nu.sharding.is_equivalent_to(mu.sharding, 2)
            before = problems.compiled()
            _, state = update(params, state, params)
            programs += problems.compiled() - before
    assert programs == 1
