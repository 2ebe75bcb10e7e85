"""Several sums in one reading."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.lowering.control_flow import platform_dependent


@jax.custom_jvp
def sums(arrays: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    """Return the sum of each of several arrays of one shape.

    On a GPU they are taken at once: one after the other, it would read twice what they
    are made of, and copy arrays of state that are both summed and replaced.
    """
    return platform_dependent(arrays, cuda=_at_once, default=_apart)


@sums.defjvp
def _slopes(primals: Any, tangents: Any) -> Any:
    return sums(*primals), _apart(*tangents)


def _apart(arrays: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    return tuple(map(jnp.sum, arrays))


def _at_once(arrays: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    starts = tuple(jnp.zeros((), x.dtype) for x in arrays)
    return jax.lax.reduce(arrays, starts, _add, range(arrays[0].ndim))


def _add(xs: Any, ys: Any) -> Any:
    return tuple(x + y for x, y in zip(xs, ys, strict=True))
