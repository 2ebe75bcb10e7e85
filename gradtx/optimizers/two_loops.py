"""The two loops of L-BFGS, which multiply by an inverse Hessian of remembered pairs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import dynamic_index_in_dim

from gradtx.common.types import AxisName
from gradtx.core.leafwise import to_compute_dtype
from gradtx.core.reductions import inner, sum_over_leaves
from gradtx.lowering.control_flow import scan

Arrays = list[jax.Array]


def two_loops(
    g: Arrays, memory: Any, order: jax.Array, factor: Any, axis_name: AxisName = None
) -> Arrays:
    """Return H g."""

    def pair(i: jax.Array) -> tuple[Arrays, Arrays, jax.Array]:
        pick = partial(dynamic_index_in_dim, index=i, axis=0, keepdims=False)
        s, y, rho = jax.tree.map(pick, memory)
        return list(map(wide, s)), list(map(wide, y)), rho

    def down(q: Arrays, i: jax.Array) -> tuple[Arrays, jax.Array]:
        s, y, rho = pair(i)
        alpha = _weighed(rho, inner_product(s, q, axis_name))
        return _moved(q, -alpha, y), alpha

    def up(r: Arrays, which: Any) -> tuple[Arrays, None]:
        i, alpha = which
        s, y, rho = pair(i)
        return _moved(r, alpha - _weighed(rho, inner_product(y, r, axis_name)), s), None

    q, alphas = scan(down, g, order, reverse=True)
    r = [(factor * x).astype(x.dtype) for x in q]
    r, _ = scan(up, r, (order, alphas))
    return r


def _weighed(rho: jax.Array, x: jax.Array) -> jax.Array:
    """Return ρ x, and 0 where the pair is not used, however large x is."""
    return jnp.where(rho == 0, 0, rho * x)


def wide(x: Any) -> jax.Array:
    """Return an array in float32 at least."""
    return to_compute_dtype(jnp.asarray(x))


def inner_product(x: Arrays, y: Arrays, axis_name: AxisName) -> jax.Array:
    """Return ⟨x, y⟩ over all arrays."""
    products = [inner(wide(a), wide(b)) for a, b in zip(x, y, strict=True)]
    return sum_over_leaves(products, axis_name)


def _moved(x: Arrays, by: jax.Array, along: Arrays) -> Arrays:
    return [(a + by * b).astype(a.dtype) for a, b in zip(x, along, strict=True)]
