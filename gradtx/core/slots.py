"""Slots: how the arrays of a state are made from the parameters."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks, leaves, numerics
from gradtx.common.types import DTypeLike, Params, PyTree
from gradtx.lowering.sharding import placed_like, sharded_like

Slot = Callable[[jax.Array], PyTree]


def zeros(p: jax.Array, *, dtype: DTypeLike | None = None) -> jax.Array:
    """Make a slot of zeros like the parameter, for a mean of gradients."""
    return jnp.zeros_like(p, dtype=dtype)


def wide_zeros(p: jax.Array) -> jax.Array:
    """Make a slot of zeros in at least float32, for a sum that must not be rounded."""
    return zeros(p, dtype=numerics.wide(p.dtype))


def squares(
    p: jax.Array, *, fill: Any = 0.0, dtype: DTypeLike | None = None
) -> jax.Array:
    """Make a slot for a mean of squares: real, and in at least float32.

    Raises:
      ValueError: for a type of fewer bits, in which a slow mean stands still: in
        bfloat16 the factor 0.999 rounds to 1.
    """
    dtype = jnp.dtype(dtype or numerics.wide(numerics.real(p.dtype)))
    if numerics.wide(dtype) != dtype:
        raise checks.Misuse(
            f"a mean of squares kept in {dtype} would stand still, as 0.999 times a "
            "number rounds to that number: leave it in float32, or keep it in few bits "
            "by quantize_state"
        )
    return jnp.full_like(p, fill, dtype=dtype)


def totals(p: jax.Array, *, axis: Any = None) -> jax.Array:
    """Make a slot of zeros like the parameter's sums over some axes, or over all.

    For squares taken together: real, in at least float32, and laid out over devices as
    the sums would be.
    """
    if isinstance(p, jax.ShapeDtypeStruct):
        return jnp.zeros_like(jax.eval_shape(partial(totals, axis=axis), p))
    dtype = numerics.wide(numerics.real(p.dtype))
    sums = jnp.sum(p.real.astype(dtype), axis=axis)
    slot = jnp.zeros_like(sums)
    return sharded_like(sums, slot) if isinstance(p, Tracer) else slot


def make_slot(make: Slot, params: Params) -> PyTree:
    """Make one slot for every parameter, laid out over devices as the parameter is.

    Of a parameter the shape and the type suffice (a ``jax.ShapeDtypeStruct``), unless
    the slot is made from its entries. What cannot have a gradient gets None.
    """

    def one(p: Any) -> PyTree:
        if not leaves.is_differentiable(p):
            return None
        p = p if isinstance(p, jax.ShapeDtypeStruct) else jnp.asarray(p)
        return jax.tree.map(partial(placed_like, p), make(p))

    return jax.tree.map(one, params)
