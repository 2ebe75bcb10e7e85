"""Follow a transformation of ours and one of optax's along the same gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx


def tree(dtype: Any = jnp.float32) -> Any:
    """Return parameters with one, two and three axes."""
    rng = np.random.default_rng(5)
    shapes = {"b": (5,), "c": (3, 4, 2), "w": (4, 6)}
    return {k: jnp.asarray(rng.normal(size=x), dtype) for k, x in shapes.items()}


def matrices(params: Any) -> Any:
    """Return a mask: whether a leaf has more than one axis."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def falling(count: Any) -> Any:
    """Return a learning rate that falls."""
    return 0.1 / (1 + count)


def assert_same(ours: Any, theirs: Any, rtol: float = 5e-5, **extra: Any) -> None:
    """Compare the updates of five steps, each relative to the leaf's largest.

    In float32 optax's bias correction is right to four or five digits only.
    """
    rng = np.random.default_rng(7)
    p = tree(jnp.float64 if jax.config.jax_enable_x64 else jnp.float32)
    q, s, z = p, ours.init(p), theirs.init(p)
    for _ in range(5):
        g = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), p)
        with jax.disable_jit():  # the operations are shared
            u, s = ours.update(g, s, p, **extra)
            v, z = theirs.update(g, z, q, **extra)
        for name in p:
            size = np.abs(v[name]).max()
            np.testing.assert_allclose(
                u[name], v[name], rtol=0, atol=rtol * size, err_msg=name
            )
        p, q = gradtx.apply_updates(p, u), optax.apply_updates(q, v)
