"""What a state will be, and where it will lie, before there is one."""

from typing import Any

import jax
from jax.core import Tracer

from gradtx.common import leaves
from gradtx.common.types import OptState, Params
from gradtx.core.transformation import GradientTransformation


def abstract_state(tx: GradientTransformation, params: Params) -> OptState:
    """Return the shapes, types and layouts of a state, without making it.

    Every array is a ``jax.ShapeDtypeStruct`` with its sharding, which names the kind of
    memory too, as ``jax.jit(tx.init)(params)`` makes it. It is read from the program of
    that line, which is compiled and not run: nothing is allocated on any device.

    It is what a checkpoint is restored into, what ``in_shardings`` and
    ``out_shardings`` of ``jax.jit`` are taken from, and what a step is compiled with
    ahead of time::

        state = gradtx.sharding.abstract_state(tx, params)
        layout = jax.tree.map(lambda x: x.sharding, state)
        compiled = jax.jit(step).lower(grads, state, params).compile()

    Args:
      tx: any transformation.
      params: the parameters, or a ``jax.ShapeDtypeStruct`` for each, whose sharding
        says where it is to lie; without one it lies where ``jit`` puts it.

    Example:
      >>> state = gradtx.abstract_state(
      ...     gradtx.adam(0.1), jax.ShapeDtypeStruct((2,), jnp.float32)
      ... )
      >>> print(gradtx.tree.get(state, "mu").shape)
      (2,)
    """
    found, treedef = jax.tree.flatten(params)
    arrays = [_shape_of(x) if leaves.is_array(x) else None for x in found]

    def init(given: list[Any]) -> OptState:
        # What is no array, such as a function, is passed to `init` as it is.
        pairs = zip(given, found, strict=True)
        return tx.init(treedef.unflatten([y if x is None else x for x, y in pairs]))

    lowered = jax.jit(init).lower(arrays)
    return jax.tree.map(
        _described, lowered.out_info, lowered.compile().output_shardings
    )


def _shape_of(x: Any) -> jax.ShapeDtypeStruct:
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    kind = jax.typeof(x)
    # Arrays that are bound to no device go where the others are.
    bound = isinstance(x, jax.Array) and not isinstance(x, Tracer) and x.committed
    return jax.ShapeDtypeStruct(
        kind.shape,
        kind.dtype,
        sharding=x.sharding if bound else None,
        weak_type=kind.weak_type,
    )


def _described(x: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    weak = bool(getattr(x, "weak_type", False))
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding, weak_type=weak)
