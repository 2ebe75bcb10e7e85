"""Follow a transformation and its paper step by step, in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx


def square(seed: int, size: int = 4) -> Any:
    """Return a square matrix of normal numbers."""
    return np.random.default_rng(seed).normal(size=(size, size))


def path_of(tx: Any, p0: Any, grads: Any, **extra: Any) -> Any:
    """Return the parameters after every step, each operation by itself."""
    params = jax.tree.map(jnp.asarray, p0)
    state, path = tx.init(params), []
    with jax.disable_jit():
        for g in grads:
            g = jax.tree.map(jnp.asarray, g)  # noqa: PLW2901
            updates, state = tx.update(g, state, params, **extra)
            params = gradtx.apply_updates(params, updates)
            path.append(params)
    return path


def updates_of(tx: Any, grads: Any) -> Any:
    """Return the updates of every step of a direction."""
    state, path = tx.init(jax.tree.map(jnp.asarray, grads[0])), []
    with jax.disable_jit():
        for g in grads:
            updates, state = tx.update(jax.tree.map(jnp.asarray, g), state)
            path.append(updates)
    return path


def assert_follows(
    row: Any, make: Any, paper: Any, steps: int = 6, **more: Any
) -> None:
    """Hold an optimizer against a paper, on square matrices."""
    p0, grads = square(99), [square(seed) for seed in range(steps)]
    got = path_of(make(**row, **more), p0, grads)
    expected = paper(p0, grads, **row, **more)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
