"""Slots: how the arrays of a state are made from the parameters, and what they are.

Each function here makes the slot of one parameter, for :func:`gradtx.leafwise`; how a
slot is made also declares what its arrays are, as :mod:`gradtx.tree.roles` reads it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.common import checks, numerics
from gradtx.common.types import DTypeLike, Params, PyTree, Role
from gradtx.lowering.sharding import placed_like, sharded_like, zero_count
from gradtx.tree.placeholders import with_role

__all__ = ["squares", "totals", "weights", "wide_zeros", "zeros"]

Slot = Callable[[jax.Array], PyTree]


def zeros(p: jax.Array, *, dtype: DTypeLike | None = None) -> jax.Array:
    """Make a slot of zeros like the parameter, for a mean of gradients.

    Args:
      p: the parameter, or its ``jax.ShapeDtypeStruct``.
      dtype: the type of the slot; the parameter's if None.
    """
    return jnp.zeros_like(p, dtype=dtype)


def wide_zeros(p: jax.Array) -> jax.Array:
    """Make a slot of zeros in at least float32, for a sum that must not be rounded.

    Args:
      p: the parameter, or its ``jax.ShapeDtypeStruct``.
    """
    return zeros(p, dtype=numerics.compute_dtype(p.dtype))


def squares(
    p: jax.Array, *, fill: Any = 0.0, dtype: DTypeLike | None = None
) -> jax.Array:
    """Make a slot for a mean or a sum of squares: real, and in at least float32.

    Also for sizes: for whatever is never negative and changes little at a step.

    Args:
      p: the parameter, or its ``jax.ShapeDtypeStruct``.
      fill: what the slot starts from.
      dtype: the type of the slot; None means the parameter's real type, float32 at
        least.

    Raises:
      ValueError: for a type of fewer bits, in which a slow mean stalls: in bfloat16 the
        factor 0.999 rounds to 1.
    """
    dtype = jnp.dtype(dtype or numerics.compute_dtype(numerics.real_dtype(p.dtype)))
    if numerics.compute_dtype(dtype) != dtype:
        raise checks.InvalidArgument(
            f"a mean of squares stalls in {dtype}, where 0.999 rounds to 1: leave it "
            "in float32, or quantize it by `quantize_state`"
        )
    return jnp.full_like(p, fill, dtype=dtype)


def weights(p: jax.Array) -> jax.Array:
    """Make a slot of weights: it starts as the parameter, in at least float32.

    In half precision they would lose small steps, and the last bits of parameters that
    :func:`gradtx.with_compensation` and its like show in float32.

    Args:
      p: the parameter.
    """
    return jnp.array(p, numerics.compute_dtype(p.dtype))


def totals(p: jax.Array, *, axis: Any = None, keepdims: bool = False) -> jax.Array:
    """Make a slot of zeros like the parameter's sums over some axes, or over all.

    For squares taken together: real, in at least float32, and sharded as the sums would
    be.

    Args:
      p: the parameter, or its ``jax.ShapeDtypeStruct``.
      axis: the axes that are summed over; all if None.
      keepdims: whether the summed axes stay, of length 1.
    """
    if isinstance(p, jax.ShapeDtypeStruct):
        return jnp.zeros_like(
            jax.eval_shape(partial(totals, axis=axis, keepdims=keepdims), p)
        )
    dtype = numerics.compute_dtype(numerics.real_dtype(p.dtype))
    sums = jnp.sum(p.real.astype(dtype), axis=axis, keepdims=keepdims)
    slot = jnp.zeros_like(sums)
    return sharded_like(sums, slot) if isinstance(p, Tracer) else slot


def unused(p: jax.Array) -> Any:
    """Make a slot for what a parameter does not need: a single 0.

    Args:
      p: the parameter.
    """
    return np.zeros((1,), numerics.compute_dtype(numerics.real_dtype(p.dtype)))


# What a slot is declared as by the function that makes it.
ROLES: dict[Slot, Role] = {
    squares: Role.SECOND_MOMENT,
    totals: Role.SECOND_MOMENT,
    weights: Role.WEIGHTS,
}


def role_of(make: Slot) -> Role | None:
    """Return what a slot is declared as by how it is made; None for any numbers."""
    while isinstance(make, partial):
        make = make.func
    return next((role for known, role in ROLES.items() if known is make), None)


def make_slot(make: Slot, params: Params) -> PyTree:
    """Make one slot for every parameter, sharded as the parameter is.

    Of a parameter the shape and the type suffice (a ``jax.ShapeDtypeStruct``). A slot
    that is made from its entries is then known by its shape and type
    too. What cannot have a gradient gets None.
    """

    def one(p: Any) -> PyTree:
        if not numerics.is_differentiable(p):
            return None
        if isinstance(p, jax.ShapeDtypeStruct):
            return _made_of_shape(make, p)
        p = jnp.asarray(p)
        return jax.tree.map(partial(placed_like, p), make(p))

    return with_role(jax.tree.map(one, params), role_of(make))


def make_slots(
    slots: dict[str, Slot], params: Params, counter: str | None
) -> dict[str, PyTree]:
    """Make every slot, and the count of steps if there is one, by their names."""
    made = {name: make_slot(make, params) for name, make in slots.items()}
    return {**made, counter: zero_count(params)} if counter else made


def made_of(f: Callable[..., PyTree], *trees: PyTree) -> PyTree:
    """Return what a function makes of trees such as the parameters.

    Of shapes (``jax.ShapeDtypeStruct``) it is known by its shapes and types.
    """
    leaves = jax.tree.leaves(trees)
    shapes = any(isinstance(x, jax.ShapeDtypeStruct) for x in leaves)
    return jax.eval_shape(f, *trees) if shapes else f(*trees)


def _made_of_shape(make: Slot, p: jax.ShapeDtypeStruct) -> PyTree:
    try:
        made = make(p)  # type: ignore[arg-type]
    except (TypeError, AttributeError):  # it reads the entries, which are not there
        made = jax.eval_shape(make, p)
        return jax.tree.map(lambda x: x.update(sharding=_spread_as(p, x)), made)
    return jax.tree.map(partial(placed_like, p), made)  # type: ignore[arg-type]


def _spread_as(p: jax.ShapeDtypeStruct, made: jax.ShapeDtypeStruct) -> Any:
    return p.sharding if p.shape == made.shape else made.sharding
